//! A client that leaves retries, breaker, bulkhead and ejection to a mesh.

use std::time::Duration;

use client::{CallContext, CallError, RestClient};
use tokio::task::JoinSet;

use crate::fake::{Fake, Mode, list};
use crate::{peer_at, undisturbed};

/// More than a client takes at once and lets wait unless told otherwise.
const MANY: usize = 600;

async fn get(client: &RestClient) -> Result<String, CallError> {
    client.get("/", &CallContext::default()).await
}

#[tokio::test]
async fn each_call_is_one_attempt_however_many_fail() {
    let peer = Fake::start().await;
    peer.be(Mode::Http(503));
    let client = RestClient::new(peer_at(&list(&[&peer]), "plain"));
    for _ in 0..50 {
        let failed = get(&client).await.unwrap_err();
        assert!(matches!(failed, CallError::Problem(_)), "{failed:?}");
    }
    assert_eq!(peer.requests(), 50, "none is repeated, none is refused");
    let shown = client.monitor().snapshot();
    assert_eq!(shown["plain"], true);
    assert_eq!(shown["endpoints"][0]["breaker"]["state"], "closed");
    assert_eq!(shown["endpoints"][0]["in_rotation"], true);
}

#[tokio::test]
async fn its_deadline_holds_and_travels_along() {
    let (peer, late) = undisturbed(async || {
        let peer = Fake::start().await;
        peer.be(Mode::Hang);
        let client = RestClient::new(peer_at(&list(&[&peer]), "plain,deadline=100ms"));
        let late = get(&client).await.unwrap_err();
        (peer, late)
    })
    .await;
    assert!(matches!(late, CallError::Timeout { .. }), "{late:?}");
    assert_eq!(peer.requests(), 1);
    let told = peer.header("x-request-timeout-ms").pop().unwrap().unwrap();
    assert!(told.parse::<u64>().unwrap() <= 105, "{told}");
}

#[tokio::test]
async fn no_call_waits_for_another() {
    let peer = Fake::start().await;
    peer.be(Mode::Hang);
    let config = "plain,deadline=60s,connect=30s";
    let client = RestClient::new(peer_at(&list(&[&peer]), config));
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        let client = client.clone();
        calls.spawn(async move { get(&client).await });
    }
    let all_inside = async {
        while peer.inside_max() < MANY {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let arrived = tokio::time::timeout(Duration::from_secs(30), all_inside).await;
    assert!(arrived.is_ok(), "{} of {MANY} came", peer.inside_max());
}
