//! What is sent again, and what each attempt says of itself.

use std::time::Duration;

use axum::http::Request;
use client::{HttpPool, RequestBody};
use http_body_util::BodyExt;

use super::{client, get, post};
use crate::fake::{Fake, Mode, list};
use crate::{nobody, peer_at};

#[tokio::test]
async fn each_attempt_says_what_is_left_and_which_it_is() {
    let peer = Fake::start().await;
    peer.be(Mode::Http(503));
    // Nobody waits for these times, so they may be long.
    let client = client(&list(&[&peer]), "deadline=60s,attempt=20s,retries=2");
    let _ = get(&client).await;
    let numbers = peer.header("grpc-previous-rpc-attempts");
    assert_eq!(numbers, [None, Some("1".into()), Some("2".into())]);
    let left = peer.header("x-request-timeout-ms");
    for left in left {
        let left: u64 = left.unwrap().parse().unwrap();
        assert!((1..=20_005).contains(&left), "{left}");
    }
    // Less than an attempt's time is left of the caller's own deadline.
    let hurry = resilience::deadline::Deadline::after(Duration::from_secs(10));
    let _ = hurry.scope(get(&client)).await;
    let last = peer.header("x-request-timeout-ms").pop().unwrap().unwrap();
    assert!(last.parse::<u64>().unwrap() <= 10_005, "{last}");
}

#[tokio::test]
async fn only_what_is_safe_to_repeat_is_repeated() {
    let peer = Fake::start().await;
    peer.be(Mode::Http(503));
    let client = client(&list(&[&peer]), "retries=1");
    let attempts = async |key| {
        let before = peer.requests();
        post(&client, key).await.unwrap_err();
        peer.requests() - before
    };
    assert_eq!(attempts(None).await, 1);
    assert_eq!(attempts(Some("once")).await, 2);
}

#[tokio::test]
async fn what_nobody_has_seen_is_always_safe_to_repeat() {
    let peer = Fake::start().await;
    let both = format!("http://{},{}", nobody().await, list(&[&peer]));
    let client = client(&both, "");
    for _ in 0..50 {
        post(&client, None).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    one.be(Mode::BreakOff);
    let client = client(&list(&[&one, &two]), "");
    for _ in 0..50 {
        get(&client).await.unwrap();
    }
    assert!(one.requests() > 0);
}

#[tokio::test]
async fn a_streamed_request_is_repeated_only_if_it_is_empty() {
    let peer = Fake::start().await;
    peer.be(Mode::Http(503));
    let pool = HttpPool::new(peer_at(&list(&[&peer]), "retries=1"));
    let attempts = async |body: axum::body::Body| {
        let before = peer.requests();
        let request = Request::put("/").body(RequestBody::stream(body)).unwrap();
        let answer = pool.send(request).await.unwrap();
        assert_eq!(answer.status(), 503, "the answer is passed on");
        answer.into_body().collect().await.unwrap();
        peer.requests() - before
    };
    assert_eq!(attempts(axum::body::Body::empty()).await, 2);
    let stream = tokio_stream::once(Ok::<_, std::io::Error>("part"));
    assert_eq!(attempts(axum::body::Body::from_stream(stream)).await, 1);
}
