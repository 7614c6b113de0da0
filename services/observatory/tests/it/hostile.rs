//! Admin ports that send what they should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::support::{Observatory, counted, event, port, record, records, until};

/// A metric without end, and JSON that is only deep.
const RUBBISH: &str = "[[[[[[[[[[{\"clients\": [[[[[[";

/// Each of these floods this process, and one looks at how much memory that takes: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_good_neighbour_is_seen_beside_bad_ones() {
    let _alone = ALONE.lock().await;
    let bytes = || stream::repeat(Bytes::from_static(b"\xff\x00rubbish\n\ndata:{{{\n\n"));
    let (garbage, _) = port(bytes, RUBBISH).await;
    let (line, _) = port(
        || stream::repeat(Bytes::from(vec![b'x'; 16 * 1024])),
        RUBBISH,
    )
    .await;
    let big = || {
        let mut record = record(1, 1, "bad");
        record["name"] = "x".repeat(1024 * 1024).into();
        records(&[record])
    };
    let (big, _) = port(big, RUBBISH).await;
    let cut = || {
        stream::iter([Bytes::from_static(
            b"id:1\nevent:hop\ndata:{\"phase\": \"st",
        )])
    };
    let (cut, _) = port(cut, RUBBISH).await;
    // Everybody is everybody's parent, clocks are years off, and names are not for browsers.
    let odd = || {
        let mut odd: Vec<_> = (1..300)
            .map(|id| record(2, id, "<script>alert(1)</script>"))
            .collect();
        for (at, record) in odd.iter_mut().enumerate() {
            record["parent_span_id"] = format!("{:016x}", (at + 1) % 299 + 1).into();
            record["at"] = json!(if at % 2 == 0 { 0 } else { u64::MAX });
        }
        records(&odd)
    };
    let (odd, _) = port(odd, RUBBISH).await;
    let (good, _) = port(|| records(&[record(7, 1, "good")]), "{}").await;
    let nobody = "127.0.0.1:9";
    let observatory = Observatory::start(&format!(
        "garbage=http://{garbage};line=http://{line};big=http://{big};cut=http://{cut};odd=http://{odd};\
         good=http://{good};nobody=http://{nobody}"
    ))
    .await;
    let path = format!("/v1/traces/{:032x}", 7);
    until("the good trace", async || {
        (observatory.get(&path).await.0 == 200).then_some(())
    })
    .await;
    let odd = format!("/v1/traces/{:032x}", 2);
    until("the odd trace", async || {
        let (status, trace) = observatory.get(&odd).await;
        (status == 200 && trace["hops"].as_array().unwrap().len() == 299).then_some(())
    })
    .await;
    // Each look gives a service little time; this thread is busy with the others.
    let state = until("the good one to be seen as ready", async || {
        let (status, state) = observatory.get("/v1/state").await;
        assert_eq!(status, 200);
        is_ready(&state, "good").then_some(state)
    })
    .await;
    assert!(!is_ready(&state, "nobody"), "{state}");
}

/// As much as an answer may have of what a state is made of.
fn flood_of_names() -> &'static str {
    let long = |n: usize| format!("{n}{}", "x".repeat(2_000));
    let clients: serde_json::Map<String, Value> = (0..300)
        .map(|n| {
            let window = json!({"calls": 1, "failures": 0, "more": [[long(n)]]});
            (
                long(n),
                json!({"breaker": {"state": "open", "window": window}}),
            )
        })
        .collect();
    let rule = |n| json!({"target": long(n), "kind": "fail", "broken": 1});
    let rules: Vec<_> = (0..100).map(rule).collect();
    Box::leak(
        json!({"clients": clients, "rules": rules})
            .to_string()
            .into_boxed_str(),
    )
}

fn flood_of_gauges() -> &'static str {
    let line = |n: usize| {
        let name = format!("{n}{}", "x".repeat(2_000));
        format!(
            "outbox_pending{{database=\"{name}\"}} 1\nmessaging_dead_letters{{source=\"{name}\"}} 1\n"
        )
    };
    let text: String = (0..300).map(line).collect();
    Box::leak(text.into_boxed_str())
}

#[tokio::test]
async fn a_state_is_small_whatever_ports_say() {
    let _alone = ALONE.lock().await;
    let (names, _) = port(|| records(&[]), flood_of_names()).await;
    let (gauges, _) = port(|| records(&[]), flood_of_gauges()).await;
    let observed = format!("names=http://{names};gauges=http://{gauges}");
    let observatory = Observatory::start(&observed).await;
    let state = until("both to be seen", async || {
        let (_, state) = observatory.get("/v1/state").await;
        let has = |list: &str| state[list].as_array().is_some_and(|list| !list.is_empty());
        (has("edges") && has("outbox") && has("dead_letters")).then_some(state)
    })
    .await;
    let length = state.to_string().len();
    assert!(length < 256 * 1024, "{length}");
    let edge = &state["edges"][0];
    assert_eq!(edge["to"].as_str().unwrap().len(), 100, "{edge}");
    assert_eq!(edge["window"], json!({"calls": 1, "failures": 0}));
    let rule = &state["faults"][0]["rules"][0];
    assert_eq!(rule["target"].as_str().unwrap().len(), 100, "{rule}");
    // What is not JSON is no answer.
    assert_eq!(state["faults"][1]["rules"], Value::Null);
    assert_eq!(state["services"][1]["silent"], json!(["clients", "faults"]));
}

fn is_ready(state: &Value, name: &str) -> bool {
    let mut services = state["services"].as_array().unwrap().iter();
    services.find(|service| service["name"] == name).unwrap()["ready"] == true
}

#[tokio::test]
async fn endless_streams_stay_within_the_bound() {
    let _alone = ALONE.lock().await;
    let sent = Arc::new(AtomicU64::new(0));
    let of = Arc::clone(&sent);
    let flood = move || {
        let records = (1_u128..).map(|id| {
            let mut record = record(id, 1, "flood");
            record["name"] = "x".repeat(1_000).into();
            Bytes::from(event(usize::try_from(id).unwrap(), &record))
        });
        counted(stream::iter(records), &of).boxed()
    };
    let (flood, _) = port(flood, "{}").await;
    let before = resident_kib();
    let observatory = Observatory::start(&format!("flood=http://{flood}")).await;
    until("30 MB of records", async || {
        (sent.load(Ordering::Relaxed) > 30_000_000).then_some(())
    })
    .await;
    // It answers while it is flooded.
    let traces = observatory.traces().await;
    assert!(!traces.is_empty());
    let (_, state) = observatory.get("/v1/state").await;
    assert!(state["dropped"].as_u64().unwrap() > 10_000, "{state}");
    // A MiB of traces, and what all of this takes to run; not what was sent.
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 24 * 1024, "{grown} KiB");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
