//! The pool's limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use bytes::Bytes;
use client::{CallError, HttpPool, RequestBody};
use http::Request;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{PATIENT, peer, peer_at, serve, undisturbed};

fn request() -> Request<RequestBody> {
    Request::get("/").body(RequestBody::whole("")).unwrap()
}

fn pool(address: SocketAddr, config: &str) -> HttpPool {
    HttpPool::new(peer_at(&format!("http://{address}"), config))
}

/// Answers a head and one frame, then pauses without end.
fn pausing() -> Router {
    Router::new().route(
        "/",
        get(|| async {
            let first = tokio_stream::once(Ok::<_, std::io::Error>("first"));
            Body::from_stream(tokio_stream::StreamExt::chain(
                first,
                tokio_stream::pending(),
            ))
        }),
    )
}

#[tokio::test]
async fn connections_are_bounded_and_come_free_when_the_body_is_dropped() {
    let address = serve(pausing()).await;
    let pool = pool(address, "bulkhead=1+1/200ms");
    let first = pool.send(request()).await.unwrap();
    match pool.send(request()).await {
        Err(CallError::Rejected { detail, .. }) => {
            assert!(detail.contains("no place"), "{detail}")
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    drop(first);
    pool.send(request()).await.unwrap();
}

#[tokio::test]
async fn a_body_that_was_read_frees_its_connection_for_the_next_call() {
    let address = serve(Router::new().route("/", get(|| async { "whole" }))).await;
    let pool = pool(address, "bulkhead=1");
    let mut answers = Vec::new();
    for _ in 0..10 {
        let mut answer = pool.send(request()).await.unwrap();
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "whole");
        // Kept, so that it is the reading and not the dropping that frees.
        answers.push(answer);
    }
}

/// Whoever closes a connection first keeps its port for a minute. With a few hundred abandoned calls a second there would soon
/// be no port left to connect from.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_call_that_is_abandoned_keeps_no_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (over, mut all_over) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        while let Ok((mut connection, from)) = listener.accept().await {
            let mut buffer = [0; 4096];
            assert_ne!(connection.read(&mut buffer).await.unwrap(), 0);
            connection.write_all(begun).await.unwrap();
            while matches!(connection.read(&mut buffer).await, Ok(1..)) {}
            drop(connection);
            over.send(from.port()).unwrap();
        }
    });
    let pool = pool(address, "bulkhead=8");
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut answer = pool.send(request()).await.unwrap();
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "first");
        drop(answer);
        let from = all_over.recv().await.unwrap();
        // The local and the remote address, and the state TIME_WAIT. By the remote port alone others would be counted, too:
        // those of a server that had this port within the last minute.
        connections.push(format!(
            "0100007F:{from:04X} 0100007F:{:04X} 06",
            address.port()
        ));
    }
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    connections.retain(|connection| sockets.contains(connection));
    assert!(connections.is_empty(), "{connections:?}");
}

#[tokio::test]
async fn a_body_that_pauses_too_long_is_given_up() {
    let address = serve(pausing()).await;
    let pool = pool(address, "idle=200ms");
    let (mut body, first) = undisturbed(async || {
        let mut body = pool.send(request()).await.unwrap().into_body();
        let first = body.frame().await.unwrap();
        (body, first.map(|frame| frame.into_data().unwrap()))
    })
    .await;
    assert_eq!(first.unwrap(), "first");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("paused"), "{error}");
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let ports = Arc::new(parking_lot::Mutex::new(std::collections::HashSet::new()));
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = (ports.clone(), calls.clone());
    let router = Router::new().route(
        "/",
        get(
            move |ConnectInfo(from): ConnectInfo<SocketAddr>| async move {
                seen.0.lock().insert(from.port());
                seen.1.fetch_add(1, Ordering::Relaxed);
                "ok"
            },
        ),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        axum::serve(
            listener,
            router.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .await
        .unwrap();
    });
    let pool = HttpPool::new(peer(address, PATIENT));
    for _ in 0..20 {
        pool.send(request())
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
    }
    assert_eq!((ports.lock().len(), calls.load(Ordering::Relaxed)), (1, 20));
}

#[tokio::test]
async fn a_body_of_ours_that_breaks_off_is_not_the_peers_fault() {
    let address = serve(Router::new().route("/", post(|body: Bytes| async move { body }))).await;
    let frames = [
        Ok(Bytes::from("first")),
        Err(std::io::Error::other("the reader went away")),
    ];
    let body = Body::from_stream(tokio_stream::iter(frames));
    let request = Request::post("/").body(RequestBody::stream(body)).unwrap();
    match HttpPool::new(peer(address, PATIENT)).send(request).await {
        Err(CallError::Aborted { detail, .. }) => assert_eq!(detail, "the reader went away"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}
