//! Clients that do not send or do not read hold nothing that others need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use chassis::arrival::{IDLE, WAITING_BYTES_MAX};
use futures::{StreamExt, stream};
use http::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{Semaphore, oneshot};

use crate::support::{FakeUsers, TestGateway, serve, start};

/// A page of a list: a hundred orders of 24 lines and an address each.
const PAGE: usize = 430 * 1024;
/// The longest that any of this takes by far.
const PATIENCE: Duration = Duration::from_secs(60);
/// Far fewer places than the slow client asks for.
const FEW: &[&str] = &[
    "--products-client=deadline=5s,attempt=3s,bulkhead=8+8/500ms",
    "--orders-client=deadline=5s,attempt=3s,bulkhead=8+8/500ms",
    "--max-in-flight=16",
];

async fn gateway() -> TestGateway {
    let shop = Router::new()
        .route(
            "/v1/products/page",
            get(|| async { Bytes::from(vec![b'x'; PAGE]) }),
        )
        .route("/v1/orders", post(|body: Bytes| async { body }));
    let (users, _) = FakeUsers::default().serve().await;
    start(users, serve(shop).await, FEW).await
}

fn http2(window: u32) -> Client<hyper_util::client::legacy::connect::HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .http2_initial_stream_window_size(window)
        .http2_initial_connection_window_size(1 << 24)
        .build_http()
}

#[tokio::test]
async fn readers_that_do_not_read_hold_no_place_of_a_peer() {
    let gateway = gateway().await;
    let attacker = http2(1);
    let mut unread = Vec::new();
    for _ in 0..64 {
        let uri = format!("http://{}/api/products/page", gateway.address);
        let answer = attacker.get(uri.parse().unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "each of them was answered");
        unread.push(answer);
    }
    for _ in 0..20 {
        let page = gateway.get("/api/products/page").send().await;
        assert_eq!((page.status, page.body.len()), (StatusCode::OK, PAGE));
    }
}

/// A request of about a megabyte, whose last piece is on its way once the channel says so. Each piece is a frame of HTTP/2:
/// of empty ones, a server takes a hundred.
fn large_order(gateway: &TestGateway) -> (Request<Body>, oneshot::Receiver<()>) {
    const PIECES: usize = 61;
    const PIECE: usize = 16 * 1024;
    const DATA: Bytes = Bytes::from_static(&[b'x'; PIECE]);
    let (sent, was_sent) = oneshot::channel();
    let pieces = (1..PIECES).map(|_| Ok::<_, std::io::Error>(DATA));
    let last = async move {
        sent.send(()).ok();
        Ok(DATA)
    };
    let body = Body::from_stream(stream::iter(pieces).chain(stream::once(last)));
    let request = Request::post(format!("http://{}/api/orders", gateway.address))
        .header("content-type", "application/json")
        .header("content-length", (PIECES * PIECE).to_string())
        .body(body);
    (request.unwrap(), was_sent)
}

/// One client sends twice as many bytes as may be in memory, in bodies that all wait for the turn of the first one.
#[tokio::test]
async fn whole_bodies_that_wait_for_their_turn_are_bounded() {
    const BODIES: usize = 2 * WAITING_BYTES_MAX / 1_000_000;
    let (arrived, may_answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (arrives, waits) = (Arc::clone(&arrived), Arc::clone(&may_answer));
    let shop = Router::new().route(
        "/v1/orders",
        post(async move || {
            arrives.add_permits(1);
            waits.acquire().await.unwrap().forget();
        }),
    );
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=1",
        "--orders-client=deadline=60s,attempt=60s",
    ];
    let gateway = start(users, serve(shop).await, &flags).await;
    let first = tokio::spawn(gateway.post("/api/orders").body("an order").send());
    arrived.acquire().await.unwrap().forget();

    let attacker = http2(1 << 16);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..BODIES {
        let (order, was_sent) = large_order(&gateway);
        waiting.spawn(attacker.request(order));
        was_sent.await.unwrap();
    }
    // A few of the others may still be on their way.
    for _ in 0..BODIES / 2 - 4 {
        let refused = tokio::time::timeout(PATIENCE, waiting.join_next()).await;
        let refused = refused.expect("some make room").unwrap().unwrap().unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
    }
    let counter = r#"http_requests_displaced_total{service="gateway",of="body"}"#;
    assert!(chassis::metrics::render().contains(counter));
    may_answer.add_permits(1);
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn senders_that_do_not_send_hold_no_place() {
    let gateway = gateway().await;
    let attacker = http2(1 << 16);
    let mut waiting = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for path in ["/api/orders", "/api/users", "/api/sessions"] {
        for _ in 0..40 {
            let body = Body::from_stream(futures::stream::pending::<std::io::Result<Bytes>>());
            let request = Request::post(format!("http://{}{path}", gateway.address))
                .header("content-type", "application/json")
                .header("content-length", "100")
                .body(body)
                .unwrap();
            waiting.spawn(attacker.request(request));
        }
    }
    for _ in 0..20 {
        let order = gateway.post("/api/orders").body("an order").send().await;
        assert_eq!(
            (order.status, &order.body[..]),
            (StatusCode::OK, &b"an order"[..])
        );
        assert_eq!(
            gateway.get("/api/products/page").send().await.status,
            StatusCode::OK
        );
    }
    // On a busy machine that may have taken longer than anybody is waited for.
    let is_refused = waiting.try_join_next().is_some();
    assert!(
        !is_refused || begun.elapsed() > IDLE,
        "they wait by themselves"
    );
}
