//! All layers together, around calls to peers that slow, hang, die and come back.

use std::time::Duration;

use axum::http::Request;
use client::{
    Address, CallContext, CallError, Dns, Force, HttpPool, Monitor, Peer, RequestBody, RestClient,
};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::dns::NameServer;
use crate::fake::{Fake, Mode, list, total};
use crate::{logs, nobody, peer_at, undisturbed};

/// Far longer than anything here takes, far shorter than a person waits.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(address: &str, config: &str) -> RestClient {
    RestClient::new(peer_at(address, config))
}

async fn get(client: &RestClient) -> Result<String, CallError> {
    client.get("/", &CallContext::default()).await
}

async fn post(client: &RestClient, key: Option<&str>) -> Result<String, CallError> {
    let context = CallContext {
        idempotency_key: key.map(str::to_owned),
        ..CallContext::default()
    };
    client.post("/", &"body", &context).await
}

/// Calls until it is so.
async fn until<T>(mut wanted: impl AsyncFnMut() -> Option<T>) -> T {
    let polls = async {
        loop {
            if let Some(found) = wanted().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polls)
        .await
        .expect("it never came")
}

fn breaker(monitor: &Monitor) -> Value {
    monitor.snapshot()["breaker"]["state"].clone()
}

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
async fn what_the_layers_did_is_told_in_the_span_of_the_call() {
    let logs = logs::capture();
    let peer = Fake::start().await;
    peer.be(Mode::Http(503));
    let told = |call: &str, what: &str| {
        let text = logs.text();
        let mut lines = text.lines();
        lines.any(|line| line.contains(&format!(" {call}")) && line.contains(what))
    };
    let repeated = client(&list(&[&peer]), "retries=1,bulkhead=1");
    let call = get(&repeated).instrument(tracing::info_span!("one"));
    call.await.unwrap_err();
    assert!(told("one", ": trying again"), "{}", logs.text());
    assert!(told("one", "not trying again"), "{}", logs.text());

    repeated.monitor().force(None, Force::Open).unwrap();
    let call = get(&repeated).instrument(tracing::info_span!("two"));
    call.await.unwrap_err();
    assert!(
        told("two", "circuit breaker refuses a call"),
        "{}",
        logs.text()
    );

    peer.be(Mode::Hang);
    let late = client(&list(&[&peer]), "deadline=50ms,bulkhead=1");
    let hangs = get(&late).instrument(tracing::info_span!("three"));
    let refused = get(&late).instrument(tracing::info_span!("four"));
    let (hangs, refused) = tokio::join!(hangs, refused);
    assert!(matches!(hangs, Err(CallError::Timeout { .. })));
    assert!(matches!(refused, Err(CallError::Rejected { .. })));
    assert!(told("three", "no answer in time"), "{}", logs.text());
    assert!(told("four", "call refused"), "{}", logs.text());
}

#[tokio::test]
async fn a_full_bulkhead_is_not_told_as_an_open_breaker() {
    let (logs, _until_the_end) = logs::spans();
    let peer = Fake::start().await;
    peer.be(Mode::Hang);
    let client = client(&list(&[&peer]), "deadline=50ms,bulkhead=1");
    let (hangs, full) = tokio::join!(get(&client), get(&client));
    assert!(matches!(hangs, Err(CallError::Timeout { .. })));
    assert!(matches!(full, Err(CallError::Rejected { .. })));
    let told = |why: &str| logs.lines(&format!("error.type=\"{why}\""));
    assert_eq!(
        (told("no_place"), told("refused")),
        (1, 0),
        "{}",
        logs.text()
    );
    client.monitor().force(None, Force::Open).unwrap();
    get(&client).await.unwrap_err();
    assert_eq!(
        (told("no_place"), told("refused")),
        (1, 1),
        "{}",
        logs.text()
    );
}

#[tokio::test]
async fn an_endpoint_that_goes_out_is_one_warning() {
    let logs = logs::capture();
    let peer = Fake::start().await;
    peer.be(Mode::Http(503));
    let client = client(&list(&[&peer]), "retries=0,breaker=off");
    let is_out = || client.monitor().snapshot()["endpoints"][0]["breaker"]["state"] == "open";
    until(async || {
        get(&client).await.unwrap_err();
        is_out().then_some(())
    })
    .await;
    let address = peer.address.to_string();
    let text = logs.text();
    let warnings = text.lines().filter(|line| line.contains(" WARN "));
    let warnings: Vec<_> = warnings.filter(|line| line.contains(&address)).collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(warnings[0].contains("failures=5"), "{text}");
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

async fn all<T>(calls: impl Iterator<Item = impl Future<Output = T>>) {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        calls.retain_mut(|call| call.as_mut().poll(cx).is_pending());
        if calls.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

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

#[tokio::test]
async fn breakers_are_seen_and_set_by_hand() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let client = client(&list(&[&one, &two]), "");
    let monitor = client.monitor();
    monitor.force(None, Force::Open).unwrap();
    assert!(matches!(
        get(&client).await,
        Err(CallError::Rejected { .. })
    ));
    assert_eq!(
        (breaker(&monitor), total(&[&one, &two])),
        ("forced_open".into(), 0)
    );
    monitor.force(None, Force::Reset).unwrap();

    monitor
        .force(Some(&two.address.to_string()), Force::Open)
        .unwrap();
    for _ in 0..20 {
        get(&client).await.unwrap();
    }
    assert_eq!((one.requests(), two.requests()), (20, 0));
    let wrong = monitor.force(Some("127.0.0.1:1"), Force::Open).unwrap_err();
    assert!(wrong.contains("127.0.0.1:1"), "{wrong}");

    let seen = monitor.snapshot();
    assert_eq!(seen["peer"], "peer");
    assert_eq!(
        seen["retry"]["calls"], 20,
        "the refused one never got there"
    );
    let endpoints = seen["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 2);
    let two = two.address.to_string();
    let two = endpoints
        .iter()
        .find(|e| e["address"] == two.as_str())
        .unwrap();
    assert_eq!(
        (&two["calls"], &two["breaker"]["state"]),
        (&0.into(), &"forced_open".into())
    );
}

#[tokio::test]
async fn last_errors_are_kept_for_people() {
    let client = client(&format!("http://{}", nobody().await), "");
    get(&client).await.unwrap_err();
    let errors = client.monitor().snapshot()["last_errors"].clone();
    let first = errors[0]["error"].as_str().unwrap();
    assert!(first.contains("no connection"), "{errors}");
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

#[tokio::test]
async fn faults_are_injected_where_they_are_allowed() {
    use resilience::fault::{Faults, Kind, Rule};
    let peer = Fake::start().await;
    let faults = Faults::new();
    let target = peer_at(&list(&[&peer]), "retries=0").with_faults(faults.clone());
    let client = RestClient::new(target);
    get(&client).await.unwrap();
    let rule = Rule {
        target: "peer".into(),
        kind: Kind::Fail,
        percent: 100,
    };
    faults.set(vec![rule]).unwrap();
    let error = get(&client).await.unwrap_err();
    assert!(
        error.to_string().contains("a fault was injected"),
        "{error}"
    );
    faults.clear();
    get(&client).await.unwrap();
}
