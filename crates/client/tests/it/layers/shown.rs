//! What is told of the layers, and set by hand.

use client::{CallError, Force, RestClient};
use tracing::Instrument;

use super::{breaker, client, get, until};
use crate::fake::{Fake, Mode, list, total};
use crate::{logs, nobody, peer_at};

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
