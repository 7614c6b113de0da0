//! Who is at fault: a breaker judges the peer, never the caller.

mod streams;

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get as get_route;
use client::{CallContext, CallError, GrpcChannel, MAX_RESPONSE_BYTES, Monitor, RestClient};
use resilience::deadline::Deadline;
use serde_json::Value;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fake::{Fake, Mode, list};
use crate::{SHORT, absent, logs, peer_at, serve, undisturbed};

/// More than five failures in a row, which put an endpoint out, and ten, which open a breaker.
const MANY: usize = 12;
/// More than a tenth of an attempt's usual two seconds, and far less than all of it.
const HURRY: Duration = Duration::from_millis(300);
/// One failure opens this breaker, and for long.
const TOUCHY: &str = "retries=2,breaker=1%/1/60s,bulkhead=2..64@2s+64/1s";

fn rest(address: &str, config: &str) -> RestClient {
    RestClient::new(peer_at(address, config))
}

async fn get(client: &RestClient) -> Result<String, CallError> {
    client.get("/", &CallContext::default()).await
}

async fn check(channel: GrpcChannel) -> Result<(), tonic::Status> {
    let request = HealthCheckRequest::default();
    HealthClient::new(channel).check(request).await.map(drop)
}

/// The breakers of the peer and of its only endpoint, and what they have counted.
fn judged(monitor: &Monitor) -> [(Value, Value); 2] {
    let seen = monitor.snapshot();
    let breaker = |breaker: &Value| {
        (
            breaker["state"].clone(),
            breaker["window"]["failures"].clone(),
        )
    };
    [
        breaker(&seen["breaker"]),
        breaker(&seen["endpoints"][0]["breaker"]),
    ]
}

fn is_late<T>(answer: &Result<T, CallError>) -> bool {
    matches!(answer, Err(CallError::Timeout { .. }))
}

/// What they are while they have counted no failure.
fn nobody_at_fault() -> [(Value, Value); 2] {
    let well = ("closed".into(), 0.into());
    [well.clone(), well]
}

#[track_caller]
fn assert_nobody_is_at_fault(monitor: &Monitor) {
    assert_eq!(judged(monitor), nobody_at_fault(), "{}", monitor.snapshot());
}

#[tokio::test]
async fn callers_in_a_hurry_are_nobody_s_fault() {
    let (peer, client, limit, late) = undisturbed(async || {
        let peer = Fake::start().await;
        let client = rest(&list(&[&peer]), TOUCHY);
        get(&client).await.unwrap();
        let limit = client.monitor().snapshot()["bulkhead"]["limit"].clone();
        peer.be(Mode::Hang);
        let mut calls = JoinSet::new();
        for _ in 0..MANY {
            let client = client.clone();
            calls.spawn(async move { is_late(&Deadline::after(HURRY).scope(get(&client)).await) });
        }
        let late = calls.join_all().await;
        (peer, client, limit, late)
    })
    .await;
    assert_eq!(late, [true; MANY]);
    assert_nobody_is_at_fault(&client.monitor());
    let seen = client.monitor().snapshot();
    assert_eq!(seen["retry"]["retries"], 0, "the budget is the others'");
    assert_eq!(seen["bulkhead"]["limit"], limit);
    peer.be(Mode::Well);
    get(&client).await.unwrap();
}

#[tokio::test]
async fn callers_in_a_hurry_are_nobody_s_fault_over_grpc() {
    let peer = Fake::start().await;
    let channel = GrpcChannel::new(peer_at(&list(&[&peer]), TOUCHY), |_| true);
    check(channel.clone()).await.unwrap();
    // Our clock or tonic's, the peer's own, and that of somebody behind the peer.
    for mode in [
        Mode::Hang,
        Mode::Grpc(Code::DeadlineExceeded),
        Mode::Grpc(Code::Unavailable),
    ] {
        peer.be(mode);
        let mut calls = JoinSet::new();
        for _ in 0..MANY {
            let channel = channel.clone();
            calls.spawn(async move { Deadline::after(HURRY / 2).scope(check(channel)).await });
        }
        for call in calls.join_all().await {
            call.unwrap_err();
        }
        assert_nobody_is_at_fault(&channel.monitor());
    }
    // Who was not in a hurry hears the same from a peer that had its time.
    check(channel.clone()).await.unwrap_err();
    assert_eq!(judged(&channel.monitor())[0].0, "open");
}

/// How many streams are open at a peer is for those to decide who read them, whom it knows by no address.
#[tokio::test]
async fn a_peer_whose_streams_are_all_taken_is_not_at_fault() {
    let full = || async {
        let headers = [("retry-after", "5"), ("grpc-retry-pushback-ms", "-1")];
        (axum::http::StatusCode::SERVICE_UNAVAILABLE, headers)
    };
    let router = Router::new().route("/", get_route(full));
    let client = rest(&format!("http://{}", serve(router).await), TOUCHY);
    for _ in 0..MANY {
        let refused = get(&client).await;
        let is_problem = matches!(refused, Err(CallError::Problem(_)));
        assert!(is_problem, "{refused:?}");
    }
    assert_nobody_is_at_fault(&client.monitor());
}

/// How much there is to read is what was asked for.
#[tokio::test]
async fn an_answer_that_is_too_long_is_nobody_s_fault() {
    let long = " ".repeat(MAX_RESPONSE_BYTES) + "1";
    let router = Router::new().route("/", get_route(move || async move { long }));
    let client = rest(&format!("http://{}", serve(router).await), TOUCHY);
    for _ in 0..MANY {
        let error = get(&client).await.unwrap_err();
        assert!(error.to_string().contains("length limit"), "{error}");
    }
    assert_nobody_is_at_fault(&client.monitor());
    // Who expects it reads it.
    let (context, most) = (CallContext::default(), MAX_RESPONSE_BYTES + 1);
    let read: u32 = client.get_long("/", most, &context).await.unwrap();
    assert_eq!(read, 1);
}

#[tokio::test]
async fn what_cannot_be_written_asks_nobody_and_is_nobody_s_fault() {
    let peer = Fake::start().await;
    let client = rest(&list(&[&peer]), TOUCHY);
    let paths = [30_000, 3_000].map(|count| format!("/?page_token={}", "%27".repeat(count)));
    let keys = ["new\nline".to_owned(), "k".repeat(9_000)];
    let refused = |answer: Result<Value, CallError>| {
        let is_refused = matches!(answer, Err(CallError::Unsendable { .. }));
        assert!(is_refused, "{answer:?}");
    };
    for _ in 0..MANY {
        for path in &paths {
            refused(client.get(path, &CallContext::default()).await);
        }
        for key in &keys {
            let context = CallContext::default().with_idempotency_key(key.as_str());
            refused(client.post("/", &1, &context).await);
        }
    }
    assert_eq!(peer.requests(), 0);
    assert_nobody_is_at_fault(&client.monitor());
}

/// One answer that takes 500 ms opens this breaker, and for long.
const TOUCHY_OF_SLOW: &str = "attempt=1s,budget=100%,breaker=1%@500ms/1/60s";

#[tokio::test]
async fn a_slow_answer_counts_where_the_configuration_says_so() {
    let peer = Fake::start().await;
    let judged = undisturbed(async || {
        peer.be(Mode::Well);
        let client = rest(&list(&[&peer]), TOUCHY_OF_SLOW);
        let quick = (get(&client).await.is_ok(), judged(&client.monitor()));
        peer.be(Mode::Slow(Duration::from_millis(500)));
        let slow = (get(&client).await.is_ok(), judged(&client.monitor()));
        [quick, slow]
    });
    let [quick, (is_answered, [of_peer, of_endpoint])] = judged.await;
    assert_eq!(quick, (true, nobody_at_fault()));
    assert!(is_answered);
    assert_eq!(of_peer, ("open".into(), 1.into()));
    assert_eq!(of_endpoint.0, "closed", "the balancer knows it by its cost");
}

#[tokio::test]
async fn a_call_that_a_retry_saves_is_no_slow_answer() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    two.be(Mode::Hang);
    let judged = undisturbed(async || {
        let client = rest(&list(&[&one, &two]), TOUCHY_OF_SLOW);
        let mut calls = JoinSet::new();
        for _ in 0..MANY {
            let client = client.clone();
            calls.spawn(async move { get(&client).await.is_ok() });
        }
        let are_answered = calls.join_all().await;
        (are_answered, judged(&client.monitor())[0].clone())
    });
    let judged = judged.await;
    assert!(two.requests() > 0, "a call was saved");
    assert_eq!(judged, (vec![true; MANY], ("closed".into(), 0.into())));
}

#[tokio::test]
async fn an_attempt_that_had_its_full_time_counts_although_its_caller_goes_away() {
    let peer = Fake::start().await;
    peer.be(Mode::Hang);
    // The second attempt is under way when the caller goes.
    let config = "deadline=60s,attempt=1s,retries=9,budget=100%,breaker=50%/3/60s";
    let judged = undisturbed(async || {
        let client = rest(&list(&[&peer]), config);
        let mut calls = JoinSet::new();
        for _ in 0..3 {
            let client = client.clone();
            calls.spawn(async move {
                let patience = Duration::from_millis(1500);
                tokio::time::timeout(patience, get(&client)).await.is_err()
            });
        }
        let went = calls.join_all().await;
        (went, judged(&client.monitor())[0].0.clone())
    });
    assert_eq!(judged.await, (vec![true; 3], "open".into()));
}

/// The time of a call to a peer that hangs, in the next test.
const STARVING: Duration = Duration::from_millis(500);

/// Calls a peer that hangs; this process does not come to look at its timers for `away` once they are due. Whether all of the
/// calls timed out.
async fn time_out_while_away(client: &RestClient, peer: &Fake, away: Duration) -> bool {
    let asked = peer.requests();
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        let client = client.clone();
        calls.spawn(async move { get(&client).await });
    }
    // Some may not get there in the time that they have, when the machine is busy.
    let begun = Instant::now();
    while peer.requests() < asked + MANY && begun.elapsed() < STARVING {
        tokio::task::yield_now().await;
    }
    // The only thread of this runtime: what a process meets that gets no processor.
    std::thread::sleep(away);
    calls.join_all().await.iter().all(is_late)
}

#[tokio::test]
async fn time_outs_of_a_process_that_is_starved_are_nobody_s_fault() {
    let peer = Fake::start().await;
    peer.be(Mode::Hang);
    let config = "deadline=500ms,attempt=500ms,retries=0,breaker=50%/10/60s";
    let client = rest(&list(&[&peer]), config);
    assert!(time_out_while_away(&client, &peer, Duration::from_secs(2)).await);
    assert_nobody_is_at_fault(&client.monitor());
    let judged = undisturbed(async || {
        let client = rest(&list(&[&peer]), config);
        let are_late = time_out_while_away(&client, &peer, Duration::ZERO).await;
        (are_late, judged(&client.monitor()))
    });
    let (are_late, [of_peer, of_endpoint]) = judged.await;
    assert!(are_late);
    assert_eq!((of_peer.0, of_endpoint.0), ("open".into(), "open".into()));
}

#[tokio::test]
async fn a_shorter_time_of_our_own_is_a_peer_s_full_time() {
    let judged = undisturbed(async || {
        let peer = Fake::start().await;
        peer.be(Mode::Hang);
        let client = rest(&list(&[&peer]), "attempt=2s,retries=2,breaker=50%/7/60s");
        let mut late = 0;
        for _ in 0..7 {
            let call = client::within(Duration::from_millis(100), get(&client)).await;
            late += usize::from(is_late(&call));
        }
        (late, peer.requests(), judged(&client.monitor()))
    });
    let (late, asked, [of_peer, of_endpoint]) = judged.await;
    assert_eq!((late, asked), (7, 7), "as many as configured, not one more");
    assert_eq!((of_peer.0, of_endpoint.0), ("open".into(), "open".into()));
}

/// Who asks for one thing after the other chooses how much time the last one has.
#[tokio::test]
async fn what_others_left_of_a_shared_time_is_no_peer_s_fault() {
    let peer = Fake::start().await;
    let client = rest(&list(&[&peer]), TOUCHY);
    get(&client).await.unwrap();
    peer.be(Mode::Hang);
    let config = "deadline=150ms,attempt=150ms,retries=0,breaker=off";
    let first = rest(&list(&[&peer]), config);
    for _ in 0..3 {
        client::within(SHORT, async {
            get(&first).await.unwrap_err();
            get(&client).await.unwrap_err();
            // Nothing is left at all.
            get(&client).await.unwrap_err();
        })
        .await;
    }
    assert_nobody_is_at_fault(&client.monitor());
}

#[tokio::test]
async fn a_peer_that_has_not_started_yet_is_not_judged() {
    let logs = logs::capture();
    let (address, socket) = absent();
    let client = rest(&format!("http://{address}"), "breaker=50%/5/60s");
    for _ in 0..30 {
        let call = get(&client).await;
        assert!(
            matches!(call, Err(CallError::Unavailable { .. })),
            "{call:?}"
        );
    }
    assert_nobody_is_at_fault(&client.monitor());
    assert_eq!(logs.lines("circuit breaker"), 0, "{}", logs.text());

    // No breaker is in the way when it comes.
    let peer = Fake::on(socket.listen(64).unwrap()).await;
    get(&client).await.unwrap();
    // From now on it is a peer that was there.
    drop(peer);
    while judged(&client.monitor())[0].0 != "open" {
        get(&client).await.unwrap_err();
    }
    assert_eq!(
        logs.lines("circuit breaker opened breaker=\"peer\""),
        1,
        "{}",
        logs.text()
    );
}
