//! Peers that hang, die, move and come back.

use std::time::Duration;

use client::{Address, CallError, Dns, Peer, RestClient};
use tokio::task::JoinSet;

use super::{all, breaker, client, get, until};
use crate::dns::NameServer;
use crate::fake::{Fake, Mode, list};
use crate::undisturbed;

#[tokio::test]
async fn a_peer_that_hangs_is_not_asked_any_more_until_it_is_back() {
    let config = "deadline=100ms,retries=0,breaker=50%/5/200ms";
    let (peer, client, refused, state) = undisturbed(async || {
        let peer = Fake::start().await;
        peer.be(Mode::Hang);
        let client = client(&list(&[&peer]), config);
        let refused = until(async || match get(&client).await {
            Err(CallError::Timeout { .. }) => None,
            other => Some(other.unwrap_err()),
        });
        let refused = refused.await;
        let state = breaker(&client.monitor());
        (peer, client, refused, state)
    })
    .await;
    assert!(matches!(refused, CallError::Rejected { .. }), "{refused:?}");
    assert!(refused.is_unavailable());
    let wait = refused.retry_after().unwrap();
    assert!(wait <= Duration::from_millis(200), "{wait:?}");
    assert_eq!(state, "open");
    assert_eq!(peer.requests(), 5, "as many as it takes to be sure");

    peer.be(Mode::Well);
    until(async || get(&client).await.ok()).await;
    // On a busy machine some answers come too late for a deadline this short.
    until(async || {
        get(&client).await.ok();
        (breaker(&client.monitor()) == "closed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_of_two_that_dies_and_comes_back_fails_no_read() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let client = client(&list(&[&one, &two]), "");
    let address = two.address;
    for _ in 0..50 {
        get(&client).await.unwrap();
    }
    assert!(one.requests() > 0 && two.requests() > 0);
    drop(two);
    for _ in 0..200 {
        get(&client).await.unwrap();
    }
    let two = Fake::at(address).await;
    // Many at once: one at a time all go to the one that has not failed, and rightly.
    until(async || {
        let calls = (0..32).map(|_| async { get(&client).await.unwrap() });
        all(calls).await;
        (two.requests() > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_of_two_that_hangs_fails_no_read() {
    const CALLS: usize = 100;
    let (answered, hung) = undisturbed(async || {
        let (one, two) = (Fake::start().await, Fake::start().await);
        two.be(Mode::Hang);
        let client = client(&list(&[&one, &two]), "deadline=5s,attempt=100ms");
        let mut answered = 0;
        for _ in 0..CALLS {
            answered += usize::from(get(&client).await.is_ok());
        }
        (answered, two.requests())
    })
    .await;
    assert_eq!(answered, CALLS);
    assert!(hung < 20, "{hung} calls hung");
}

#[tokio::test]
async fn most_calls_go_to_the_one_that_is_not_slow() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    one.be(Mode::Slow(Duration::from_millis(5)));
    two.be(Mode::Slow(Duration::from_millis(200)));
    let client = client(&list(&[&one, &two]), "");
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        calls.spawn(async move {
            for _ in 0..50 {
                get(&client).await.unwrap();
            }
        });
    }
    calls.join_all().await;
    let (fast, slow) = (one.requests(), two.requests());
    assert!(
        slow * 2 < fast,
        "{fast} to the fast one, {slow} to the slow one"
    );
}

#[tokio::test]
async fn who_moves_to_another_address_is_found_there() {
    let (server, one) = (NameServer::start().await, Fake::start().await);
    server.set_addresses("host.test", 3600, &["127.0.0.1".parse().unwrap()]);
    let at = |fake: &Fake| [(1, fake.address.port(), "host.test.")];
    server.set_service("_http._tcp.peer.test", 3600, &at(&one));
    let address: Address = "srv+http://_http._tcp.peer.test".parse().unwrap();
    let peer = Peer::new("peer", address, "".parse().unwrap());
    let client = RestClient::new(peer.with_dns(Dns::Server(server.address)));
    // The first call waits for the first lookup.
    get(&client).await.unwrap();
    let other = Fake::start().await;
    server.set_service("_http._tcp.peer.test", 3600, &at(&other));
    drop(one);
    // The TTL is an hour, but a connection was refused.
    until(async || get(&client).await.ok()).await;
    assert!(other.requests() > 0);
}

#[tokio::test]
async fn a_name_without_addresses_is_unavailable_and_says_why() {
    let server = NameServer::start().await;
    let address: Address = "http://peer.test:80".parse().unwrap();
    let peer = Peer::new("peer", address, "".parse().unwrap());
    let client = RestClient::new(peer.with_dns(Dns::Server(server.address)));
    let error = get(&client).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(client.monitor().discovery().health().is_err());
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_not_ready_gets_no_calls() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let client = client(&list(&[&one, &two]), "health=/");
    two.be(Mode::Http(503));
    let state = |client: &RestClient| {
        let seen = client.monitor().snapshot();
        let address = two.address.to_string();
        let endpoints = seen["endpoints"].as_array().unwrap();
        let of_two = endpoints.iter().find(|e| e["address"] == address.as_str());
        of_two.unwrap()["state"].clone()
    };
    until(async || (state(&client) == "unhealthy").then_some(())).await;
    let before = one.requests();
    for _ in 0..20 {
        get(&client).await.unwrap();
    }
    assert!(one.requests() >= before + 20);
    two.be(Mode::Well);
    until(async || (state(&client) != "unhealthy").then_some(())).await;
}
