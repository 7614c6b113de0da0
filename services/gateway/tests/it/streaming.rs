//! Answers flow: nothing waits for their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use contracts::identity::ADMIN;
use futures::StreamExt;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use crate::support::{FakeShop, FakeUsers, serve, start, token_for};

/// Enough that no buffer between here and there holds it all: each user has a name of 1000 characters.
const MANY: usize = 20_000;

fn channel() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (
        sender,
        Body::from_stream(ReceiverStream::new(receiver).map(Ok::<_, std::io::Error>)),
    )
}

#[tokio::test]
async fn an_answer_passes_as_it_comes() {
    let (say, body) = channel();
    let body = Arc::new(Mutex::new(Some(body)));
    let answer = post(move || std::future::ready(body.lock().take().unwrap()));
    let shop = serve(Router::new().route("/v1/orders/echo", answer)).await;
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, shop, &[]).await;

    say.send("one".into()).await.unwrap();
    let mut answer = gateway.post("/api/orders/echo").begin().await.into_body();
    assert_eq!(
        answer.frame().await.unwrap().unwrap().into_data().unwrap(),
        "one"
    );
    say.send("two".into()).await.unwrap();
    assert_eq!(
        answer.frame().await.unwrap().unwrap().into_data().unwrap(),
        "two"
    );
    drop(say);
    assert!(answer.frame().await.is_none());
}

/// Nobody behind waits for who sends it, so it can be sent again, too.
#[tokio::test]
async fn a_request_is_passed_on_when_all_of_it_is_there() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let read = post(move |body: Bytes| async move {
        count.fetch_add(1, Ordering::SeqCst);
        body
    });
    let shop = serve(Router::new().route("/v1/orders/echo", read)).await;
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, shop, &[]).await;

    let (say, body) = channel();
    let answer = tokio::spawn(gateway.post("/api/orders/echo").body(body).send());
    // Room for one more: the one before is on its way.
    for part in ["one", "two", "three"] {
        say.send(part.into()).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    drop(say);
    assert_eq!(answer.await.unwrap().body, "onetwothree");
    let long = vec![b'x'; 64 * 1024 + 1];
    let answer = gateway.post("/api/orders/echo").body(long).send().await;
    answer.problem(413, "/api/orders/echo");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_list_of_users_is_as_fast_as_its_reader() {
    let (users, fake) = FakeUsers {
        listed: MANY,
        ..Default::default()
    }
    .serve()
    .await;
    let gateway = start(users, FakeShop::default().serve().await, &[]).await;
    let admin = token_for(Uuid::max(), ADMIN);
    let answer = gateway.get("/api/users").token(&admin).begin().await;
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");

    let mut body = answer.into_body();
    let mut text = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap()
        .to_vec();
    let produced = settle(&fake).await;
    assert!(
        produced < MANY,
        "the whole list is on its way, although nobody reads it"
    );

    text.extend(body.collect().await.unwrap().to_bytes());
    let lines: Vec<serde_json::Value> = text
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), MANY);
    assert_eq!(lines[7]["id"], Uuid::from_u128(7).to_string());
    assert_eq!(lines[7]["created_at"], "2023-11-14T22:13:20.500Z");
}

/// Waits until the fake is not asked for more: its count is the same at two looks. Nothing announces that a
/// stream is asked no longer; a list that is not held back is seen at its end, however slow it gets there.
async fn settle(fake: &Arc<FakeUsers>) -> usize {
    let mut before = usize::MAX;
    loop {
        let produced = fake.produced.load(Ordering::Relaxed);
        if produced == before || produced == MANY {
            return produced;
        }
        before = produced;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_list_that_breaks_is_not_mistaken_for_a_whole_one() {
    let (users, _) = FakeUsers {
        listed: 10,
        breaks_after: Some(5),
        ..Default::default()
    }
    .serve()
    .await;
    let gateway = start(users, FakeShop::default().serve().await, &[]).await;
    let admin = token_for(Uuid::max(), ADMIN);
    // The break may be known before the head of the answer has left; then that does not leave either.
    if let Ok(answer) = gateway.get("/api/users").token(&admin).try_begin().await {
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err());
    }
}
