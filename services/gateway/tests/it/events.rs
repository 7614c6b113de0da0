//! Server-sent events on their way through: they flow, they hold nothing that others need, and they are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use contracts::identity::CUSTOMER;
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use uuid::Uuid;

use crate::support::{FakeUsers, TestGateway, serve, start, token_for};

const EVENTS: &str = "/api/orders/1/events";
/// Each piece of the flood, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// Most that may be on its way to somebody who does not read: what two connections have in the buffers of the system, and little
/// in the gateway.
const ON_THE_WAY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Orders as far as streams go: the first event names the last one that the reader had, then nothing comes.
#[derive(Clone, Default)]
struct FakeOrders {
    /// Streams that somebody reads.
    open: Arc<AtomicUsize>,
    /// Pieces that the flood was asked for.
    flood: Arc<AtomicUsize>,
}

/// Counted while it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn events(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(pieces.map(Ok::<_, std::io::Error>));
    ([("content-type", "text/event-stream")], body).into_response()
}

impl FakeOrders {
    async fn gateway(&self, flags: &[&str]) -> TestGateway {
        let (quiet, flood) = (self.clone(), self.flood.clone());
        let quiet = move |headers: HeaderMap| {
            quiet.open.fetch_add(1, Ordering::SeqCst);
            let counted = Counted(quiet.open.clone());
            let last = headers.get("last-event-id");
            let last = last.map_or("0", |value| value.to_str().unwrap());
            let first = Bytes::from(format!("id:{last}\n\n"));
            let silence = stream::pending().chain(stream::poll_fn(move |_| {
                let _is_open = &counted;
                std::task::Poll::Ready(None)
            }));
            std::future::ready(events(stream::iter([first]).chain(silence)))
        };
        let flood = move || {
            let flood = flood.clone();
            let piece = move || {
                flood.fetch_add(1, Ordering::SeqCst);
                Bytes::from(vec![b'\n'; PIECE_BYTES])
            };
            std::future::ready(events(stream::repeat_with(piece)))
        };
        let shop = Router::new()
            .route("/v1/orders/{id}/events", get(quiet))
            .route("/v1/orders/flood", get(flood))
            .route("/v1/orders/plain", get(|| async { "an order" }));
        let (users, _) = FakeUsers::default().serve().await;
        start(users, serve(shop).await, flags).await
    }
}

async fn first(answer: &mut http::Response<Incoming>) -> Bytes {
    assert_eq!(answer.status(), StatusCode::OK);
    let frame = answer.body_mut().frame().await.unwrap().unwrap();
    frame.into_data().unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// With two places of each kind that a request takes, twelve streams are open and others are answered.
#[tokio::test]
async fn streams_hold_no_place_of_requests() {
    let orders = FakeOrders::default();
    let flags = [
        "--orders-client=deadline=5s,attempt=3s,bulkhead=2+2/500ms",
        "--max-in-flight=2",
        "--client-places=2",
        "--max-requests-per-address=2",
    ];
    let gateway = orders.gateway(&flags).await;
    let reader = token_for(Uuid::now_v7(), CUSTOMER);
    let mut streams = Vec::new();
    for n in 0..12 {
        let call = gateway.get(EVENTS).token(&reader);
        let mut answer = call.header("last-event-id", &n.to_string()).begin().await;
        assert_eq!(first(&mut answer).await, format!("id:{n}\n\n"));
        streams.push(answer);
    }
    for _ in 0..5 {
        let answer = gateway.get("/api/orders/plain").token(&reader).send().await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::OK, &b"an order"[..])
        );
    }
    assert_eq!(orders.open.load(Ordering::SeqCst), 12);
    // Who has gone is gone behind the gateway, too, and at once.
    streams.truncate(4);
    until("the others have gone", || {
        orders.open.load(Ordering::SeqCst) == 4
    })
    .await;
}

#[tokio::test]
async fn streams_are_bounded_in_all_and_each() {
    let orders = FakeOrders::default();
    let gateway = orders
        .gateway(&["--max-streams=3", "--max-streams-per-user=2"])
        .await;
    let [ann, bob] = [(); 2].map(|()| token_for(Uuid::now_v7(), CUSTOMER));
    let open = async |who: &str| {
        let mut answer = gateway.get(EVENTS).token(who).begin().await;
        first(&mut answer).await;
        answer
    };
    let of_ann = [open(&ann).await, open(&ann).await];
    let refused = gateway.get(EVENTS).token(&ann).send().await;
    refused.problem(429, EVENTS);
    assert_ne!(refused.header("retry-after"), "");
    let _of_bob = open(&bob).await;
    let refused = gateway.get(EVENTS).token(&bob).send().await;
    refused.problem(503, EVENTS);
    assert_ne!(refused.header("retry-after"), "");
    drop(of_ann);
    until("they have gone", || orders.open.load(Ordering::SeqCst) == 1).await;
    let again = async {
        while gateway.get(EVENTS).token(&ann).begin().await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again)
        .await
        .unwrap();

    let flags = ["--max-streams-per-address=1"];
    let gateway = FakeOrders::default().gateway(&flags).await;
    let _first = gateway.get(EVENTS).token(&ann).begin().await;
    let refused = gateway.get(EVENTS).token(&bob).send().await;
    refused.problem(429, EVENTS);
}

/// A stream without an end does not keep a deploy waiting, and its reader does not see an error.
#[tokio::test]
async fn a_shutdown_ends_streams_at_once_and_whole() {
    let orders = FakeOrders::default();
    let gateway = orders.gateway(&["--shutdown-deadline=60s"]).await;
    let reader = token_for(Uuid::now_v7(), CUSTOMER);
    let mut answer = gateway.get(EVENTS).token(&reader).begin().await;
    first(&mut answer).await;
    gateway.shutdown.trigger();
    let stopped = tokio::time::timeout(Duration::from_secs(30), gateway.running).await;
    stopped.expect("nobody is waited for").unwrap().unwrap();
    assert!(
        answer.body_mut().frame().await.is_none(),
        "the end, and no error"
    );
}

/// Whoever does not read is not read for: what is on the way is bounded.
#[tokio::test]
async fn a_stream_is_as_fast_as_its_reader() {
    let orders = FakeOrders::default();
    let gateway = orders.gateway(&[]).await;
    let reader = token_for(Uuid::now_v7(), CUSTOMER);
    let mut answer = gateway
        .get("/api/orders/flood")
        .token(&reader)
        .begin()
        .await;
    first(&mut answer).await;
    // Until it is asked for no more: nothing announces that, so the count is the same at two looks.
    let mut before = 0;
    let produced = loop {
        let produced = orders.flood.load(Ordering::SeqCst) * PIECE_BYTES;
        if produced == before || produced > ON_THE_WAY_BYTES_MAX {
            break produced;
        }
        before = produced;
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert!(
        produced <= ON_THE_WAY_BYTES_MAX,
        "{produced} bytes are on their way, and nobody reads them"
    );
}
