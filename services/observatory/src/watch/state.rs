//! What the admin ports say at one moment, put together.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use futures::future::join_all;
use serde_json::{Value, json};

use super::metrics::samples;
use crate::replicas::{Replica, Replicas};
use crate::sky::Sky;

/// The most things of each kind in a state.
const ENTRIES_MAX: usize = 256;

/// What one replica says.
struct Said {
    service: &'static str,
    replica: SocketAddr,
    ready: Result<(), String>,
    clients: Value,
    faults: Value,
    dead_letters: usize,
    metrics: String,
}

/// What all of them say.
pub(super) struct Seen(Vec<Said>);

/// Asks all replicas at once.
pub(super) async fn look(replicas: &Replicas) -> Seen {
    let all = replicas
        .services()
        .iter()
        .flat_map(|service| service.replicas());
    Seen(join_all(all.map(ask)).await)
}

async fn ask(replica: Replica) -> Said {
    let (ready, clients, faults, letters, metrics) = tokio::join!(
        replica.get("/readyz"),
        replica.json("/clients"),
        replica.json("/faults"),
        replica.json("/dead-letters?limit=1000"),
        replica.get("/metrics"),
    );
    let letters = letters.unwrap_or_default();
    Said {
        service: replica.service,
        replica: replica.at,
        ready: match ready {
            Ok((status, _)) if status.is_success() => Ok(()),
            Ok((_, report)) => Err(waits_for(&report)),
            Err(why) => Err(short(&why)),
        },
        clients: clients.unwrap_or_default(),
        faults: faults.unwrap_or_default(),
        dead_letters: letters["dead_letters"].as_array().map_or(0, Vec::len),
        metrics: metrics.map(|(_, text)| text).unwrap_or_default(),
    }
}

/// The dependencies of a readiness report that are not up.
fn waits_for(report: &str) -> String {
    let report: Value = serde_json::from_str(report).unwrap_or_default();
    let missing: Vec<&str> = report["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["state"] != "up")
        .filter_map(|dependency| dependency["name"].as_str())
        .take(16)
        .collect();
    match missing.is_empty() {
        true => "it is not ready".to_owned(),
        false => short(&format!("it waits for {}", missing.join(", "))),
    }
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// A client of a replica: what it calls, and how that went.
struct Edge<'a> {
    from: &'static str,
    to: &'a str,
    calls: u64,
    errors: u64,
    /// Calls that found no place, and were not made.
    shed: u64,
    /// Retries that are paid for.
    retries_left: u64,
    breaker: &'a str,
    window: &'a Value,
}

impl Edge<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.from, self.to)
    }
}

impl Seen {
    fn edges(&self) -> Vec<Edge<'_>> {
        let mut edges: BTreeMap<(&str, &str), Edge<'_>> = BTreeMap::new();
        for said in &self.0 {
            let clients = said.clients["clients"].as_object().into_iter().flatten();
            for (to, client) in clients.take(ENTRIES_MAX) {
                let of = |name: &str| {
                    let endpoints = client["endpoints"].as_array().into_iter().flatten();
                    endpoints
                        .filter_map(|endpoint| endpoint[name].as_u64())
                        .fold(0_u64, u64::saturating_add)
                };
                let breaker = &client["breaker"];
                let edge = edges.entry((said.service, to)).or_insert(Edge {
                    from: said.service,
                    to,
                    calls: 0,
                    errors: 0,
                    shed: 0,
                    retries_left: 0,
                    breaker: "closed",
                    window: &Value::Null,
                });
                edge.calls = edge.calls.saturating_add(of("calls"));
                edge.errors = edge.errors.saturating_add(of("failures"));
                let left = client["retry"]["budget_available"].as_u64();
                edge.retries_left = edge.retries_left.saturating_add(left.unwrap_or_default());
                let rejected = &client["bulkhead"]["rejected"];
                for why in ["full", "waited_too_long"] {
                    let shed = rejected[why].as_u64().unwrap_or_default();
                    edge.shed = edge.shed.saturating_add(shed);
                }
                let state = match breaker.is_null() {
                    true => "none",
                    false => plain(breaker["state"].as_str().unwrap_or_default()),
                };
                // Of several replicas, the one that is worst off is shown.
                if badness(state) >= badness(edge.breaker) {
                    edge.breaker = state;
                    edge.window = &breaker["window"];
                }
            }
        }
        edges.into_values().take(ENTRIES_MAX).collect()
    }

    /// The counters of each edge, for the rates of the next look.
    pub(super) fn calls(&self) -> HashMap<String, (u64, u64)> {
        let edges = self.edges();
        edges
            .iter()
            .map(|edge| (edge.name(), (edge.calls, edge.errors)))
            .collect()
    }

    /// The state as JSON. `rate` returns calls and errors a second.
    pub(super) fn show(
        &self,
        at: u64,
        sky: &Sky,
        rate: impl Fn(&str, u64, u64) -> (f64, f64),
    ) -> Value {
        let services = self.0.iter().map(|said| {
            json!({
                "name": said.service, "replica": said.replica,
                "followed": sky.is_followed(said.replica),
                "ready": said.ready.is_ok(), "reason": said.ready.as_ref().err(),
            })
        });
        let edges = self.edges().into_iter().map(|edge| {
            let (per_second, errors_per_second) = rate(&edge.name(), edge.calls, edge.errors);
            json!({
                "from": edge.from, "to": edge.to,
                "per_second": per_second, "errors_per_second": errors_per_second,
                "p99_ms": sky.p99_ms(edge.from, edge.to), "shed": edge.shed,
                "retries_left": edge.retries_left,
                "breaker": edge.breaker, "window": edge.window,
            })
        });
        json!({
            "at": at,
            "services": services.collect::<Value>(),
            "edges": edges.collect::<Value>(),
            "outbox": self.outbox(),
            "lag": self.lag(),
            "queues": self.queues(),
            "dead_letters": self.dead_letters(),
            "faults": self.faults(),
            "dropped": sky.dropped(),
        })
    }

    /// A gauge by its label. Services that share a process all say the same, so the highest counts.
    fn gauge(
        &self,
        metric: &str,
        is_wanted: impl Fn(&str) -> bool,
        labels: [&str; 2],
    ) -> Vec<(String, String, f64)> {
        let mut found: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for said in &self.0 {
            for sample in samples(&said.metrics, metric).take(4 * ENTRIES_MAX) {
                if !is_wanted(sample.label("messaging_system").unwrap_or_default()) {
                    continue;
                }
                let [first, second] = labels.map(|label| sample.label(label).unwrap_or_default());
                let value = found.entry((first, second)).or_default();
                *value = value.max(sample.value);
            }
        }
        let entries = found.into_iter().take(ENTRIES_MAX);
        entries
            .map(|((first, second), value)| (short(first), short(second), value))
            .collect()
    }

    fn outbox(&self) -> Value {
        let rows = self
            .gauge("outbox_pending", |_| true, ["database", ""])
            .into_iter();
        rows.map(|(database, _, waiting)| {
            let names = self.0.iter().map(|said| said.service);
            let service = names
                .into_iter()
                .find(|name| database == *name || database.ends_with(&format!("_{name}")));
            json!({ "service": service.unwrap_or(&database), "waiting": waiting })
        })
        .collect()
    }

    fn lag(&self) -> Value {
        let labels = [
            "messaging_consumer_group_name",
            "messaging_destination_name",
        ];
        let rows = self
            .gauge("messaging_consumer_lag", |system| system == "kafka", labels)
            .into_iter();
        rows.map(|(group, topic, messages)| json!({ "group": group, "topic": topic, "messages": messages })).collect()
    }

    fn queues(&self) -> Value {
        let labels = ["messaging_destination_name", ""];
        let rows = self
            .gauge("messaging_consumer_lag", |system| system != "kafka", labels)
            .into_iter();
        rows.map(|(queue, _, depth)| json!({ "queue": queue, "depth": depth }))
            .collect()
    }

    /// Replicas of a service look at the same dead letters.
    fn dead_letters(&self) -> Value {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for said in &self.0 {
            let count = counts.entry(said.service).or_default();
            *count = (*count).max(said.dead_letters);
        }
        counts
            .into_iter()
            .map(|(service, count)| json!({ "service": service, "count": count }))
            .collect()
    }

    fn faults(&self) -> Value {
        let rules = |said: &Said| {
            let mut rules = said.faults["rules"].as_array()?.clone();
            rules.truncate(ENTRIES_MAX);
            Some(json!({ "service": said.service, "replica": said.replica, "rules": rules }))
        };
        self.0.iter().filter_map(rules).collect()
    }
}

fn plain(state: &str) -> &'static str {
    match state {
        "open" | "forced_open" => "open",
        "half_open" => "half_open",
        _ => "closed",
    }
}

fn badness(state: &str) -> u8 {
    match state {
        "open" => 2,
        "half_open" => 1,
        _ => 0,
    }
}
