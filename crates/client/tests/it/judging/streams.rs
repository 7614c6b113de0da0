//! Bodies that are sent while they are made: the time of whoever sends them is not the peer's.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use client::{CallError, HttpPool, RequestBody};
use http::Request;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use super::{MANY, TOUCHY_OF_SLOW, assert_nobody_is_at_fault, is_late, judged, nobody_at_fault};
use crate::fake::{Fake, Mode, list};
use crate::{peer_at, serve, undisturbed};

/// Reads what it is sent before it answers.
async fn reader() -> String {
    let read = post(|body: Bytes| async move { body });
    format!("http://{}", serve(Router::new().route("/", read)).await)
}

/// A body of one byte and then nothing.
fn stalled() -> Request<RequestBody> {
    let first = tokio_stream::once(Ok::<_, std::io::Error>("{"));
    let body = Body::from_stream(first.chain(tokio_stream::pending()));
    Request::post("/").body(RequestBody::stream(body)).unwrap()
}

#[tokio::test]
async fn a_sender_that_stalls_is_nobody_s_fault() {
    let config = "attempt=200ms,breaker=1%/1/60s,bulkhead=2..64@100ms+64/1s";
    let pool = HttpPool::new(peer_at(&reader().await, config));
    let limit = pool.monitor().snapshot()["bulkhead"]["limit"].clone();
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        let pool = pool.clone();
        calls.spawn(async move { pool.send(stalled()).await.map(drop) });
    }
    for call in calls.join_all().await {
        assert!(matches!(call, Err(CallError::Stalled { .. })), "{call:?}");
    }
    assert_nobody_is_at_fault(&pool.monitor());
    assert_eq!(pool.monitor().snapshot()["bulkhead"]["limit"], limit);
    let whole = Request::post("/").body(RequestBody::whole("{}")).unwrap();
    let answer = pool.send(whole).await.map(drop);
    // Nothing keeps it from being asked for. On a busy machine the answer may come too late for an attempt this short.
    assert!(
        !matches!(answer, Err(CallError::Rejected { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_peer_has_its_full_time_from_the_end_of_the_body() {
    /// More than half of an attempt, and far less than all of it.
    const PART: Duration = Duration::from_millis(2100);
    let slow = post(|body: Bytes| async move {
        tokio::time::sleep(PART).await;
        body
    });
    let address = serve(Router::new().route("/", slow)).await;
    let config = "deadline=60s,attempt=4s";
    let pool = HttpPool::new(peer_at(&format!("http://{address}"), config));
    let late = async {
        tokio::time::sleep(PART).await;
        Ok::<_, std::io::Error>("late")
    };
    let body = Body::from_stream(futures_once(late));
    let request = Request::post("/").body(RequestBody::stream(body)).unwrap();
    pool.send(request).await.unwrap();
}

/// A stream of what a future gives.
fn futures_once<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> impl tokio_stream::Stream<Item = T> + Send {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move { sender.send(future.await).await });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_whole_stream_is_at_fault() {
    let peer = Fake::start().await;
    peer.be(Mode::Hang);
    let config = "attempt=100ms,breaker=50%/3/60s";
    let judged = undisturbed(async || {
        let pool = HttpPool::new(peer_at(&list(&[&peer]), config));
        let mut late = 0;
        for _ in 0..3 {
            let body = Body::from_stream(tokio_stream::once(Ok::<_, std::io::Error>("whole")));
            let request = Request::post("/").body(RequestBody::stream(body)).unwrap();
            late += usize::from(is_late(&pool.send(request).await));
        }
        (late, judged(&pool.monitor())[0].0.clone())
    });
    assert_eq!(judged.await, (3, "open".into()));
}

#[tokio::test]
async fn a_slow_sender_is_no_slow_answer() {
    let address = reader().await;
    let judged = undisturbed(async || {
        let pool = HttpPool::new(peer_at(&address, TOUCHY_OF_SLOW));
        let late = async {
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok::<_, std::io::Error>("late")
        };
        let body = Body::from_stream(futures_once(late));
        let request = Request::post("/").body(RequestBody::stream(body)).unwrap();
        let is_answered = pool.send(request).await.is_ok();
        (is_answered, judged(&pool.monitor()))
    });
    assert_eq!(judged.await, (true, nobody_at_fault()));
}
