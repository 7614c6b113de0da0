//! A socket that nobody reads while one of its subscriptions waits for its turn.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use contracts::identity::CUSTOMER;
use futures::{StreamExt, stream};
use http::HeaderValue;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use uuid::Uuid;

use super::{ME, start_at};
use crate::support::{FakeUsers, PROTOCOL, Socket, nobody, serve, token_for};

/// The longest that any of this takes by far.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a long change; a longer one than twice this is refused.
const LONG: usize = 32 * 1024;

/// Orders that answer and tell when they may, and count.
struct Orders {
    asked: AtomicUsize,
    told: AtomicUsize,
    may_answer: Semaphore,
    may_tell: Semaphore,
}

impl Orders {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
            may_answer: Semaphore::new(0),
            may_tell: Semaphore::new(0),
        })
    }

    async fn answer(self: Arc<Self>, request: Request) -> Response {
        if request.uri().path().ends_with("/events") {
            return self.changes();
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.may_answer.acquire().await.unwrap().forget();
        "an order".into_response()
    }

    /// A short change, and then long ones without an end, once it may.
    fn changes(self: Arc<Self>) -> Response {
        let changes = stream::iter(1_u64..).then(move |sequence| {
            let orders = Arc::clone(&self);
            async move {
                let mut text = String::new();
                if sequence > 1 {
                    drop(orders.may_tell.acquire().await.unwrap());
                    text = "x".repeat(LONG);
                }
                orders.told.fetch_add(1, Ordering::SeqCst);
                let change = json!({
                    "order_id": Uuid::nil(), "sequence": sequence, "status": "pending",
                    "reason": { "code": "long", "text": text }, "changed_at": "2026-01-01T00:00:00Z",
                });
                let event = format!("id:{sequence}\nevent:pending\ndata:{change}\n\n");
                Ok::<_, std::io::Error>(event)
            }
        });
        let body = Body::from_stream(changes);
        ([("content-type", "text/event-stream")], body).into_response()
    }
}

/// A socket whose own kernel keeps little of what it does not read.
async fn connect(gateway: SocketAddr) -> Socket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let stream = socket.connect(gateway).await.unwrap();
    let url = format!("ws://{gateway}/graphql");
    let mut request = url.into_client_request().unwrap();
    let protocol = HeaderValue::from_static(PROTOCOL.1);
    request.headers_mut().insert(PROTOCOL.0, protocol);
    let (socket, _) = client_async(request, stream).await.unwrap();
    Socket(socket)
}

fn watch(order: u128) -> String {
    let order = Uuid::from_u128(order);
    format!("subscription {{ orderChanged(id: \"{order}\") {{ sequence reason }} }}")
}

/// Lets everybody else go on until this has not changed for long. All of them are in this thread.
async fn until_still(count: &AtomicUsize) {
    let (mut seen, mut unchanged) = (0, 0);
    while unchanged < 1_000 {
        tokio::task::yield_now().await;
        let now = count.load(Ordering::SeqCst);
        unchanged = if now == seen { unchanged + 1 } else { 0 };
        seen = now;
    }
}

#[tokio::test]
async fn a_socket_that_is_not_read_keeps_no_turn() {
    let token = token_for(ME, CUSTOMER);
    let behind = Orders::new();
    let answers = Arc::clone(&behind);
    let orders =
        Router::new().fallback(move |request: Request| Arc::clone(&answers).answer(request));
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=1",
        "--orders-client=deadline=60s,attempt=60s",
        "--request-timeout=60s",
    ];
    let (orders, products, catalog) = (serve(orders).await, nobody().await, nobody().await);
    let gateway = start_at(users, orders, products, catalog, &flags).await;
    let read = || tokio::spawn(gateway.get("/api/orders/1").token(&token).send());

    let mut socket = connect(gateway.address).await;
    socket.init(&token).await;
    assert_eq!(socket.hears().await["type"], "connection_ack");
    socket.subscribe("long", &watch(1)).await;
    assert_eq!(socket.hears().await["type"], "next");
    let first = read();
    let asked = async {
        while behind.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap();
    socket.subscribe("waits", &watch(2)).await;
    until_still(&behind.told).await;
    behind.may_tell.add_permits(1);
    until_still(&behind.told).await;

    let second = read();
    behind.may_answer.add_permits(2);
    for asked in [first, second] {
        let answer = timeout(PATIENCE, asked).await.unwrap();
        assert_eq!(answer.unwrap().status, 200);
    }
    // The turn did not have to be taken from it: it is still there, and its subscription goes on.
    let goes_on = async { while socket.hears().await["id"] != "waits" {} };
    timeout(PATIENCE, goes_on).await.unwrap();
}
