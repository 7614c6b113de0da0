//! The limit on bodies: 413, and the client really gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use chassis::auth::Caller;
use chassis::extract::Json;
use serde_json::Value;

use crate::support::raw::Raw;
use crate::support::server::Server;

const TWO_MB: usize = 2 * 1024 * 1024;
const ROUNDS: usize = 5;

fn router(called: &Arc<AtomicUsize>) -> Router {
    let called = Arc::clone(called);
    let json = move |Json(value): Json<Value>| {
        called.fetch_add(1, Ordering::SeqCst);
        async move { value.to_string() }
    };
    Router::new()
        .route("/json", post(json))
        .route(
            "/bytes",
            post(|bytes: Bytes| async move { bytes.len().to_string() }),
        )
        .route("/private", post(|_: Caller| async { "never" }))
        .route("/ignores", post(|| async { "did not look" }))
}

async fn server() -> (Server, Arc<AtomicUsize>) {
    let called = Arc::new(AtomicUsize::new(0));
    (Server::standard(router(&called)).await, called)
}

/// Sends *all* of the request before it reads, as a simple client does.
async fn send_all(server: &Server, head: &str, body: &[u8]) -> String {
    let mut client = Raw::connect_narrow(server.address).await;
    client
        .send(format!(
            "{head}\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
        ))
        .await;
    client.send(body).await;
    client.rest().await
}

fn with_length(size: usize) -> Vec<u8> {
    [
        format!("content-length: {size}\r\n\r\n").as_bytes(),
        &vec![b'1'; size],
    ]
    .concat()
}

fn chunked(size: usize) -> Vec<u8> {
    let chunk = [format!("{:x}\r\n", 8192).as_bytes(), &[b'1'; 8192], b"\r\n"].concat();
    [
        b"transfer-encoding: chunked\r\n\r\n".as_slice(),
        &chunk.repeat(size / 8192),
        b"0\r\n\r\n",
    ]
    .concat()
}

#[tokio::test]
async fn two_megabytes_get_their_413() {
    let (server, called) = server().await;
    for body in [with_length(TWO_MB), chunked(TWO_MB)] {
        for path in ["/json", "/bytes"] {
            for _ in 0..ROUNDS {
                let answer = send_all(&server, &format!("POST {path} HTTP/1.1"), &body).await;
                assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
                assert!(
                    answer.contains("the body may have at most 1000 bytes"),
                    "{answer}"
                );
                assert!(answer.contains("application/problem+json"));
            }
        }
    }
    assert_eq!(called.load(Ordering::SeqCst), 0);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_given_before_the_body_was_read_arrives_too() {
    let (server, _) = server().await;
    let body = chunked(TWO_MB);
    for _ in 0..ROUNDS {
        let refused = send_all(&server, "POST /private HTTP/1.1", &body).await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
        let ignored = send_all(&server, "POST /ignores HTTP/1.1", &body).await;
        assert!(ignored.starts_with("HTTP/1.1 200 "), "{ignored}");
        let missing = send_all(&server, "POST /nowhere HTTP/1.1", &body).await;
        assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_limit_itself_is_allowed() {
    let (server, called) = server().await;
    for body in [with_length(1000), with_length(1001)] {
        send_all(&server, "POST /bytes HTTP/1.1", &body).await;
    }
    assert_eq!(
        server.post("/bytes", "x/y", vec![b'1'; 1000]).await.text(),
        "1000"
    );
    server
        .post("/bytes", "x/y", vec![b'1'; 1001])
        .await
        .problem(413);
    let string = format!("\"{}\"", "x".repeat(998));
    assert_eq!(
        server
            .post("/json", "application/json", string.clone())
            .await
            .text(),
        string
    );
    assert_eq!(called.load(Ordering::SeqCst), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_survives_a_refused_body() {
    let (server, _) = server().await;
    let mut client = Raw::connect(server.address).await;
    let request =
        |body: Vec<u8>| [b"POST /bytes HTTP/1.1\r\nhost: x\r\n".as_slice(), &body].concat();
    client.send(request(chunked(TWO_MB))).await;
    assert!(client.response().await.starts_with("http/1.1 413"));
    client.send(request(with_length(5))).await;
    assert!(client.response().await.ends_with("\r\n\r\n5"));
    server.stop().await;
}

#[tokio::test]
async fn who_asks_first_is_refused_without_sending_the_body() {
    let (server, _) = server().await;
    let mut client = Raw::connect(server.address).await;
    client
        .send(format!("POST /json HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {TWO_MB}\r\n\r\n"))
        .await;
    let answer = client.response().await;
    assert!(
        answer.starts_with("http/1.1 413 "),
        "no 100 Continue: {answer}"
    );
    server.stop().await;
}

#[tokio::test]
async fn draining_ends() {
    let (server, _) = server().await;
    let mut client = Raw::connect(server.address).await;
    client.send("POST /json HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = [
        format!("{:x}\r\n", 65536).as_bytes(),
        &[b'1'; 65536],
        b"\r\n",
    ]
    .concat();
    // A client that never ends is cut off soon after the bound; it cannot send ten times as much.
    let bound = chassis::http::body_limit::DRAIN_MAX_BYTES as usize;
    let mut sent = 0;
    while sent < 10 * bound {
        use tokio::io::AsyncWriteExt;
        let write = tokio::time::timeout(Duration::from_secs(20), client.0.write_all(&chunk));
        if write.await.expect("the server reads on or closes").is_err() {
            break;
        }
        sent += chunk.len();
    }
    assert!(sent >= bound / 2 && sent < 10 * bound, "{sent}");
    server.stop().await;
}
