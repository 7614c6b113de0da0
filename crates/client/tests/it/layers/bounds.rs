//! What a peer and its callers can cost.

use std::time::Duration;

use client::CallError;
use tokio::task::JoinSet;

use super::{PATIENCE, all, breaker, client, get, until};
use crate::fake::{Fake, Mode, list};
use crate::undisturbed;

#[tokio::test]
async fn a_dead_peer_costs_no_more_than_the_budget() {
    let peer = Fake::start().await;
    peer.be(Mode::Http(503));
    let client = client(&list(&[&peer]), "budget=10%,breaker=off");
    const CALLS: usize = 500;
    for _ in 0..CALLS {
        let error = get(&client).await.unwrap_err();
        assert!(matches!(error, CallError::Problem(_)), "{error:?}");
    }
    let attempts = peer.requests();
    assert!(attempts > CALLS, "none was retried");
    assert!(
        attempts * 10 <= CALLS * 12,
        "{attempts} attempts for {CALLS} calls"
    );
}

#[tokio::test]
async fn many_callers_of_a_peer_that_hangs_take_no_more_than_its_places() {
    let config = "deadline=500ms,retries=0,breaker=off,bulkhead=8+8/100ms";
    let (peer, client, errors) = undisturbed(async || {
        let peer = Fake::start().await;
        peer.be(Mode::Hang);
        let client = client(&list(&[&peer]), config);
        let mut calls = JoinSet::new();
        for _ in 0..500 {
            let client = client.clone();
            calls.spawn(async move { get(&client).await.unwrap_err() });
        }
        let errors = tokio::time::timeout(PATIENCE, calls.join_all()).await;
        (peer, client, errors.expect("nobody waits for long"))
    })
    .await;
    let is_refused = |error: &&CallError| matches!(error, CallError::Rejected { .. });
    assert_eq!(errors.iter().filter(is_refused).count(), 500 - 8);
    assert_eq!(peer.inside_max(), 8);
    let bulkhead = &client.monitor().snapshot()["bulkhead"];
    assert_eq!(
        (&bulkhead["in_flight"], &bulkhead["waiting"]),
        (&0.into(), &0.into())
    );
}

#[tokio::test]
async fn a_bulkhead_that_follows_the_peer_shrinks_while_it_is_slow_and_grows_again() {
    let peer = Fake::start().await;
    let config = "deadline=5s,retries=0,breaker=off,bulkhead=2..64@100ms+64/5s";
    let client = client(&list(&[&peer]), config);
    let limit = || client.monitor().snapshot()["bulkhead"]["limit"].as_u64();
    let start = limit().unwrap();
    let calls_until = async |wanted: &dyn Fn(u64) -> bool| {
        until(async || {
            all((0..32).map(|_| get(&client))).await;
            limit().filter(|&limit| wanted(limit))
        })
        .await
    };
    peer.be(Mode::Slow(Duration::from_millis(150)));
    let least = calls_until(&|limit| limit < start / 2).await;
    peer.be(Mode::Well);
    let most = calls_until(&|limit| limit > start / 2).await;
    assert!((2..=64).contains(&least) && (2..=64).contains(&most));
}

#[tokio::test]
async fn callers_that_go_away_leave_nothing_behind() {
    let peer = Fake::start().await;
    peer.be(Mode::Hang);
    let client = client(&list(&[&peer]), "bulkhead=2+2/1s");
    for patience_ms in 0..30 {
        let calls = (0..5).map(|_| get(&client));
        let calls = all(calls);
        let _ = tokio::time::timeout(Duration::from_millis(patience_ms), calls).await;
        let now = client.monitor().snapshot();
        assert_eq!(
            (&now["bulkhead"]["in_flight"], &now["bulkhead"]["waiting"]),
            (&0.into(), &0.into())
        );
        assert_eq!(now["endpoints"][0]["pending"], 0, "{now}");
    }
}

#[tokio::test]
async fn a_caller_in_a_hurry_does_not_open_the_breaker() {
    let peer = Fake::start().await;
    peer.be(Mode::Slow(Duration::from_millis(150)));
    let config = "deadline=60s,attempt=20s,retries=0,breaker=1%/1/60s";
    let client = client(&list(&[&peer]), config);
    let hurry = resilience::deadline::Deadline::after(Duration::from_millis(50));
    assert!(matches!(
        hurry.scope(get(&client)).await,
        Err(CallError::Timeout { .. })
    ));
    get(&client).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_says_when_to_come_back_is_not_cut_off() {
    let peer = Fake::start().await;
    peer.be(Mode::Busy);
    let client = client(&list(&[&peer]), "breaker=1%/1/5s");
    for _ in 0..20 {
        let error = get(&client).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    }
    assert_eq!(peer.requests(), 20, "nor is it asked again before");
    assert_eq!(breaker(&client.monitor()), "closed");
}
