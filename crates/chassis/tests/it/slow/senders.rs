//! Senders that do not send: they hold no place, and not for ever.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use axum::routing::{get, post};
use chassis::arrival::{IDLE, WAITING_BYTES_MAX};
use chassis::http::Options;
use chassis::limits::Limits;
use chassis::{grpc, http};
use futures::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use resilience::load_shed::{Config, LoadShed};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::ServiceExt;

use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::support::{PATIENCE, eventually, h2, methods};

/// Two requests at a time, and nobody waits.
fn limits() -> (Limits, LoadShed) {
    let load = LoadShed::new(Config {
        max_in_flight: 2,
        max_waiting: 0,
        ..Config::default()
    })
    .unwrap();
    let limits = Limits {
        load: Some(load.clone()),
        ..Limits::default()
    };
    (limits, load)
}

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/echo", post(|body: Bytes| async { body }))
        .route(
            "/stream",
            post(|body: Body| async { Body::from_stream(body.into_data_stream()) }),
        )
}

const BODY_LIMIT: usize = 1 << 20;

fn door(limits: Limits) -> Router {
    http::standard("senders", BODY_LIMIT, limits).around(router())
}

/// A body that comes as the test sends it; `length` is what it announces.
fn body(length: Option<u64>) -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream = futures::stream::unfold(receiver, |mut receiver| async {
        Some((Ok::<_, Status>(receiver.recv().await?), receiver))
    });
    let body = Body::from_stream(stream);
    match length {
        Some(length) => (sender, Body::new(Announced { body, length })),
        None => (sender, body),
    }
}

/// hyper's body knows the length that its sender announced.
struct Announced {
    body: Body,
    length: u64,
}

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.length)
    }
}

fn send(door: &Router, path: &str, body: Body) -> impl Future<Output = Response<Body>> + use<> {
    // The form of both kinds of door.
    let request = Request::post(path)
        .header("host", "x")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    door.clone().oneshot(request).map(Result::unwrap)
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_body_that_does_not_come_holds_no_place() {
    let (limits, load) = limits();
    let server = Server::plain(door(limits), Options::default()).await;
    let mut connection = h2::connect(server.address).await;
    let stalled: Vec<_> = (0..100).map(|_| connection.post("/echo", 5)).collect();
    let mut others = Vec::new();
    for head in ["content-length: 5", "transfer-encoding: chunked"] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n"))
            .await;
        others.push(raw);
    }
    // The answer to a later request on the same connection says that all of them were seen.
    assert_eq!(connection.get("/").await, 200);
    assert_eq!(load.snapshot().in_flight, 0);
    let answer = server.post("/echo", "x/y", "whole").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "whole")
    );
    // Who goes on after all is served.
    let (mut sender, response) = stalled.into_iter().next().unwrap();
    sender
        .send_data(Bytes::from_static(b"12345"), true)
        .unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_gets_a_408() {
    let (limits, _) = limits();
    let door = door(limits);
    for (length, path) in [(Some(5), "/echo"), (None, "/echo"), (None, "/stream")] {
        let (sender, body) = body(length);
        sender.send(Bytes::from_static(b"1")).unwrap();
        let begun = Instant::now();
        let response = send(&door, path, body).await;
        if path == "/stream" {
            // It had begun to answer: all that can be done is to break off.
            assert!(response.into_body().collect().await.is_err());
        } else {
            assert_eq!(response.status(), 408, "{length:?}");
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
            assert_eq!(response.headers()["connection"], "close");
            assert!(text(response).await.contains("/problems/request-timeout"));
        }
        let waited = begun.elapsed();
        assert!(waited >= IDLE && waited < IDLE * 2, "{waited:?}");
        drop(sender);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_gets_a_408_and_a_slow_one_its_answer() {
    let (limits, _) = limits();
    let door = door(limits);
    for (bytes, status) in [(1, 408), (16 * 1024, 200)] {
        let (sender, body) = body(Some(10 * bytes));
        let trickle = tokio::spawn(async move {
            for _ in 0..10 {
                sender.send(Bytes::from(vec![b'1'; bytes as usize])).ok();
                tokio::time::sleep(IDLE / 2).await;
            }
        });
        assert_eq!(send(&door, "/echo", body).await.status(), status, "{bytes}");
        trickle.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_on_their_way_are_bounded_in_bytes() {
    let (limits, _) = limits();
    let arrivals = limits.arrivals.clone();
    let door = door(limits);
    let part = BODY_LIMIT / 2;
    let many = WAITING_BYTES_MAX / part + 10;
    let mut coming = Vec::new();
    for _ in 0..many {
        let (sender, body) = body(Some(BODY_LIMIT as u64));
        sender.send(Bytes::from(vec![b'1'; part])).unwrap();
        let mut response = Box::pin(send(&door, "/echo", body));
        assert!((&mut response).now_or_never().is_none());
        // The first look only asks; the second waits.
        (&mut response).now_or_never();
        coming.push((sender, response));
        assert!(arrivals.bytes() <= WAITING_BYTES_MAX);
    }
    assert!(arrivals.bytes() >= WAITING_BYTES_MAX / 2);
    let mut coming = coming.into_iter();
    let (_sender, longest) = coming.next().unwrap();
    assert_eq!(
        longest.await.status(),
        408,
        "the one that waited longest made room"
    );
    let (sender, last) = coming.next_back().unwrap();
    sender.send(Bytes::from(vec![b'1'; part])).unwrap();
    drop(sender);
    assert_eq!(last.await.status(), 200);
    drop(coming);
    assert_eq!(arrivals.bytes(), 0);
}

/// A request whose head has this many bytes, without its last two lines' ends.
fn unfinished(bytes: usize) -> String {
    let start = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nx-long: ";
    format!("{start}{}", "y".repeat(bytes - start.len() - 4))
}

#[tokio::test]
async fn a_head_that_does_not_end_takes_32_kib_at_most() {
    let server = Server::plain(router(), Options::default()).await;
    let mut fits = Raw::connect(server.address).await;
    fits.send(&format!("{}\r\n\r\n", unfinished(32 * 1024)))
        .await;
    assert!(fits.response().await.starts_with("http/1.1 200"));
    let mut endless = Raw::connect(server.address).await;
    endless.send(&unfinished(32 * 1024 + 4)).await;
    assert!(endless.rest().await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn unfinished_heads_of_an_address_are_bounded_in_bytes() {
    const HEAD: usize = 28 * 1024;
    let options = Options {
        // Two fit, a third does not.
        max_head_bytes_per_address: 2 * HEAD,
        ..Options::default()
    };
    let server = Server::plain(router(), options).await;
    // It is answered after each of them, so that the bytes before were read. Between two requests it holds no head.
    let mut neighbour = Raw::connect(server.address).await;
    let mut heads = Vec::new();
    for _ in 0..3 {
        let mut head = Raw::connect(server.address).await;
        head.send(&unfinished(HEAD)).await;
        heads.push(head);
        neighbour.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(neighbour.response().await.ends_with("here"));
    }
    assert!(
        heads[0].closes_within(PATIENCE).await,
        "who has waited longest"
    );
    for head in &mut heads[1..] {
        head.send("\r\n\r\n").await;
        assert!(head.response().await.starts_with("http/1.1 200"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_goes_on_and_takes_no_place() {
    let (limits, load) = limits();
    let door = door(limits);
    let mut begun = Vec::new();
    for _ in 0..40 {
        let (sender, body) = body(None);
        sender.send(Bytes::from_static(b"one")).unwrap();
        let response = send(&door, "/stream", body).await;
        assert_eq!(response.status(), 200);
        let mut said = response.into_body().into_data_stream();
        assert_eq!(said.next().await.unwrap().unwrap(), "one");
        // Reads on: its sender is silent from now on.
        assert!(said.next().now_or_never().is_none());
        begun.push((sender, said));
    }
    assert_eq!(load.snapshot().in_flight, 0);
    let (_, said) = &mut begun[0];
    assert!(
        said.next().await.unwrap().is_err(),
        "too many: the longest silent ended"
    );
    let (sender, said) = begun.last_mut().unwrap();
    sender.send(Bytes::from_static(b"two")).unwrap();
    assert_eq!(said.next().await.unwrap().unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_its_message_holds_no_place() {
    let (limits, load) = limits();
    let message = post(|body: Bytes| async move { assert_eq!(body.len(), 5) });
    let router = Router::new()
        .route("/shop.v1.Shop/Sell", message)
        .layer(grpc::standard("senders-grpc", methods(), limits));
    // Nothing, a part of it, and all of it without its end: a unary call begins with its last byte.
    let mut held = Vec::new();
    for beginning in [&b""[..], b"\0\0", b"\0\0\0\0\0"]
        .into_iter()
        .cycle()
        .take(30)
    {
        let (sender, body) = body(None);
        sender.send(Bytes::from_static(beginning)).unwrap();
        let mut call = Box::pin(send(&router, "/shop.v1.Shop/Sell", body));
        assert!((&mut call).now_or_never().is_none());
        assert!((&mut call).now_or_never().is_none());
        held.push((sender, call));
    }
    assert_eq!(load.snapshot().in_flight, 0);
    let whole = send(
        &router,
        "/shop.v1.Shop/Sell",
        Body::from(&b"\0\0\0\0\0"[..]),
    )
    .await;
    assert!(
        !whole.headers().contains_key("grpc-status"),
        "it was served"
    );
    let (_sender, stalled) = held.pop().unwrap();
    let status = Status::from_header_map(stalled.await.headers()).unwrap();
    assert_eq!(status.code(), Code::Cancelled);
}

#[tokio::test]
async fn one_more_request_of_an_address_ends_the_one_that_waits_longest() {
    let (limits, _) = limits();
    let options = Options {
        max_requests_per_address: 4,
        ..Options::default()
    };
    let server = Server::plain(door(limits), options).await;
    let mut attacker = h2::connect(server.address).await;
    let mut stalled: Vec<_> = (0..4).map(|_| attacker.post("/echo", 5)).collect();
    // They are waited for once this is answered, which itself is one more.
    assert_eq!(attacker.get("/").await, 200);
    for _ in 0..20 {
        assert_eq!(
            server.get("/").await.status,
            200,
            "a neighbour at the same address"
        );
    }
    let (_sender, longest) = stalled.remove(0);
    assert_eq!(longest.await.unwrap().status(), 408);
}

#[tokio::test]
async fn who_is_trusted_is_not_counted() {
    let (limits, _) = limits();
    let options = Options {
        max_requests_per_address: 4,
        max_connections_per_address: 1,
        trusted_proxies: chassis::proxies::TrustedProxies::loopback(),
        ..Options::default()
    };
    let server = Server::plain(door(limits), options).await;
    let mut proxy = h2::connect(server.address).await;
    let mut stalled: Vec<_> = (0..20).map(|_| proxy.post("/echo", 5)).collect();
    assert_eq!(proxy.get("/").await, 200);
    assert_eq!(server.get("/").await.status, 200);
    for (sender, _) in &mut stalled {
        sender
            .send_data(Bytes::from_static(b"12345"), true)
            .unwrap();
    }
    for (_, response) in stalled {
        // Two at a time and nobody waits: some are refused for the load, and none for its address.
        assert!([200, 503].contains(&response.await.unwrap().status().as_u16()));
    }
}

#[tokio::test]
async fn the_connection_of_a_stalled_body_is_closed() {
    let (limits, _) = limits();
    let options = Options {
        max_requests_per_address: 1,
        ..Options::default()
    };
    let server = Server::plain(door(limits), options).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n1")
        .await;
    // Whoever comes next ends it, once it is waited for.
    eventually("it makes room", || async {
        server.get("/").await.status == 200
    })
    .await;
    let answer = raw.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"),
        "{answer}"
    );
}
