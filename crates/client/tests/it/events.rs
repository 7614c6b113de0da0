//! Server-sent events over many answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use client::{CallContext, CallError, Events, RestClient};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::{PATIENT, nobody, peer, serve};

#[derive(Debug, PartialEq, Deserialize)]
struct Change {
    n: u64,
}

/// The ids that readers came with.
type Asked = Arc<Mutex<Vec<Option<String>>>>;

fn stream(body: impl Into<Body>) -> Response {
    ([("content-type", "text/event-stream")], body.into()).into_response()
}

/// What a peer says to whoever comes with this id.
async fn peer_that_says(says: fn(Option<&str>) -> Response) -> (RestClient, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let route = get(move |headers: HeaderMap| {
        let id = headers.get("last-event-id");
        let id = id.map(|id| id.to_str().unwrap().to_owned());
        let said = says(id.as_deref());
        seen.lock().push(id);
        std::future::ready(said)
    });
    let router = Router::new()
        .route("/events", route)
        .route("/", get(|| async { "7" }));
    (RestClient::new(peer(serve(router).await, PATIENT)), asked)
}

async fn open(client: &RestClient, after: Option<&str>) -> Result<Events<Change>, CallError> {
    Events::open(
        client.clone(),
        "/events",
        after,
        CallContext::bearer("t0k3n"),
    )
    .await
}

async fn rest(mut events: Events<Change>) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(change) = events.next().await {
        all.push(change.unwrap().n);
        assert!(all.len() < 100, "it begins again and again: {all:?}");
    }
    all
}

#[tokio::test]
async fn a_stream_that_ends_is_gone_on_with_until_there_is_no_more() {
    let (client, asked) = peer_that_says(|id| match id {
        None => stream(
            "retry:1\n\nid:1\ndata:{\"n\":1}\n\n:\n\nid:2\ndata:{\"n\":2}\n\nid:3\ndata:{\"n\"",
        ),
        // What was cut off comes again, whole.
        Some("2") => stream("id:3\ndata:{\"n\":3}\n\n"),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    let events = open(&client, None).await.unwrap();
    assert_eq!(rest(events).await, [1, 2, 3]);
    let ids: Vec<_> = asked.lock().clone();
    assert_eq!(
        ids.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [None, Some("2"), Some("3")]
    );
    assert_eq!(rest(open(&client, Some("3")).await.unwrap()).await, [0; 0]);
}

/// Nothing but where to go on: three answers, with a pause before all but the first, which a peer cannot make shorter than this.
#[tokio::test]
async fn an_id_without_data_is_gone_on_after_and_no_peer_is_asked_without_a_pause() {
    let (client, asked) = peer_that_says(|id| match id {
        None => stream("retry:0\n\nid:1\n\n"),
        Some("1") => stream("id:2\n\n"),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    let begun = Instant::now();
    let events = open(&client, None).await.unwrap();
    assert_eq!(rest(events).await, [0; 0]);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let ids: Vec<_> = asked.lock().clone();
    assert_eq!(
        ids.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [None, Some("1"), Some("2")]
    );
}

#[tokio::test]
async fn an_empty_id_takes_the_last_one_back() {
    let (client, _) =
        peer_that_says(|_| stream("id:1\ndata:{\"n\":1}\n\nid\ndata:{\"n\":2}\n\n")).await;
    let mut events = open(&client, None).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), Change { n: 1 });
    assert_eq!(events.last_id(), Some("1"));
    assert_eq!(events.next().await.unwrap().unwrap(), Change { n: 2 });
    assert_eq!(events.last_id(), None);
}

#[tokio::test]
async fn a_stream_is_asked_for_again_as_its_reader_says() {
    let (client, asked) = peer_that_says(|id| match id {
        None => stream("retry:1\n\nid:1\ndata:{\"n\":1}\n\n"),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    let [wants, may] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let (told, waits) = (Arc::clone(&wants), Arc::clone(&may));
    let events = open(&client, None).await.unwrap();
    let mut events = events.asking_through(move |asking| {
        let (told, waits) = (Arc::clone(&told), Arc::clone(&waits));
        Box::pin(async move {
            told.add_permits(1);
            waits.acquire().await.unwrap().forget();
            asking.await
        })
    });
    assert_eq!(events.next().await.unwrap().unwrap(), Change { n: 1 });
    let mut end = std::pin::pin!(events.next());
    tokio::select! {
        next = &mut end => panic!("it was not asked for again: {next:?}"),
        wants = wants.acquire() => drop(wants.unwrap()),
    }
    assert_eq!(asked.lock().len(), 1);
    may.add_permits(1);
    assert!(end.await.is_none());
    assert_eq!(asked.lock().len(), 2);
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_and_tells_where_it_was() {
    let (say, said) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Arc::new(Mutex::new(Some(Body::from_stream(ReceiverStream::new(
        said,
    )))));
    let route = get(move || std::future::ready(stream(body.lock().take().unwrap())));
    let address = serve(Router::new().route("/events", route)).await;
    let client = RestClient::new(peer(address, PATIENT));
    say.send(Ok(Bytes::from_static(b"id:1\ndata:{\"n\":1}\n\n")))
        .await
        .unwrap();
    let mut events = open(&client, None).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), Change { n: 1 });
    say.send(Err(std::io::Error::other("gone"))).await.unwrap();
    let error = events.next().await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Unavailable { .. }), "{error}");
    assert!(events.next().await.is_none());
    assert_eq!(events.last_id(), Some("1"));
}

#[tokio::test]
async fn what_is_no_stream_is_an_error() {
    let (client, _) = peer_that_says(|_| StatusCode::NOT_FOUND.into_response()).await;
    assert!(open(&client, None).await.unwrap_err().is_not_found());
    let (client, _) = peer_that_says(|_| "text".into_response()).await;
    let error = open(&client, None).await.unwrap_err();
    assert!(matches!(error, CallError::Decode { .. }), "{error}");
    let (client, _) = peer_that_says(|_| stream("data:no number\n\n")).await;
    let error = open(&client, None)
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, CallError::Decode { .. }), "{error}");
    let client = RestClient::new(peer(nobody().await, PATIENT));
    assert!(open(&client, None).await.unwrap_err().is_unavailable());
}

/// One place for calls, and a stream that has begun does not hold it.
#[tokio::test]
async fn a_stream_holds_no_place_of_calls() {
    let (client, _) = peer_that_says(|_| {
        let first = Ok::<_, Infallible>(Bytes::from_static(b"id:1\ndata:{\"n\":1}\n\n"));
        let silence = tokio_stream::pending();
        stream(Body::from_stream(tokio_stream::once(first).chain(silence)))
    })
    .await;
    let mut config = client.peer().config.clone();
    config.bulkhead.max_in_flight = 1;
    config.bulkhead.max_waiting = 0;
    let client = RestClient::new(client::Peer::new(
        "few",
        client.peer().address.clone(),
        config,
    ));
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut events = open(&client, None).await.unwrap();
        assert_eq!(events.next().await.unwrap().unwrap(), Change { n: 1 });
        streams.push(events);
    }
    let called: u64 = client.get("/", &CallContext::default()).await.unwrap();
    assert_eq!(called, 7);
}
