//! Clients that do not send or do not read hold nothing that others need.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::support::{FakeUsers, TestGateway, serve, start};

/// A page of a list.
const PAGE: usize = 240 * 1024;
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

#[tokio::test]
async fn senders_that_do_not_send_hold_no_place() {
    let gateway = gateway().await;
    let attacker = http2(1 << 16);
    let mut waiting = tokio::task::JoinSet::new();
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
    assert!(waiting.try_join_next().is_none(), "they wait by themselves");
}
