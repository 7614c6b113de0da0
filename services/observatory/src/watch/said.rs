//! The answers of one admin port in one poll, parsed into bounded values at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::bounds::{ENTRIES_MAX, cut};
use super::depends::{self, Dependency};
use super::metrics::samples;
use crate::replicas::Replica;
use crate::sky;

/// The most clients of one replica.
const CLIENTS_MAX: usize = 32;
/// The longest name, in characters. Names of topics and of their dead letters are shorter.
const NAME_CHARS_MAX: usize = 100;
/// The longest time between two polls from which a rate is computed, in seconds.
const RATE_SECONDS_MAX: f64 = 60.0;
/// The longest kind of a fault, in characters.
const KIND_CHARS_MAX: usize = 20;

/// The answers of one replica. Of missing ones only names are known, from an earlier poll; see [`recall`](Self::recall).
pub(super) struct Said {
    pub(super) service: &'static str,
    pub(super) replica: SocketAddr,
    pub(super) ready: Result<(), String>,
    /// What it depends on; `None` if it did not say.
    pub(super) depends: Option<Vec<Dependency>>,
    /// The requests that it did not answer: `clients`, `faults`, `metrics`.
    pub(super) silent: Vec<&'static str>,
    pub(super) clients: Vec<Client>,
    /// Whether it accepts rules of faults, as far as is known: without `ALLOW_FAULTS` it has no such path.
    pub(super) takes_faults: bool,
    /// The rules of faults; `None` if it did not answer.
    pub(super) rules: Option<Vec<Rule>>,
    pub(super) gauges: Vec<Gauge>,
}

/// One of its clients.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) to: String,
    /// The present values; `None` if the replica did not answer.
    pub(super) now: Option<Numbers>,
    /// Its counters when they were last known.
    pub(super) counted: Counted,
}

/// The state of a client.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    /// Calls that were refused because the bulkhead was full.
    pub(super) shed: u64,
    /// Retries that the budget still allows.
    pub(super) retries_left: u64,
    pub(super) breaker: &'static str,
    pub(super) window: Option<Window>,
}

/// The calls in a breaker's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Window {
    calls: u64,
    failures: u64,
}

/// Counters of a client, and when they were read, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) at: u64,
    pub(super) calls: u64,
    pub(super) errors: u64,
}

/// A rule of faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Rule {
    target: String,
    kind: String,
    percent: u64,
    broken: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
}

/// What a gauge counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Outbox,
    Lag,
    Queue,
    DeadLetters,
}

/// A gauge by its names; its value is `None` if the replica did not report it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gauge {
    pub(super) of: Counts,
    pub(super) names: [String; 2],
    pub(super) value: Option<f64>,
}

/// The answers of a port; `None` where there is no valid answer.
pub(super) struct Answers {
    pub(super) at: u64,
    pub(super) ready: Result<(StatusCode, String), String>,
    pub(super) clients: Option<Value>,
    pub(super) faults: Option<Value>,
    pub(super) metrics: Option<String>,
}

/// Sends all requests to a replica concurrently.
pub(super) async fn ask(replica: Replica) -> Said {
    let (ready, clients, faults, metrics) = tokio::join!(
        replica.get("/readyz"),
        replica.json("/clients"),
        replica.get("/faults"),
        replica.get("/metrics"),
    );
    let answers = Answers {
        at: sky::now(),
        ready,
        clients,
        faults: faults.ok().and_then(rules_answer),
        metrics: metrics
            .ok()
            .and_then(|(status, text)| status.is_success().then_some(text)),
    };
    Said::of(replica.service, replica.at, &answers)
}

/// Null for a service without `ALLOW_FAULTS`, which has no such path.
fn rules_answer((status, text): (StatusCode, String)) -> Option<Value> {
    match status {
        StatusCode::NOT_FOUND => Some(Value::Null),
        status if status.is_success() => serde_json::from_str(&text).ok(),
        _ => None,
    }
}

impl Said {
    pub(super) fn of(service: &'static str, replica: SocketAddr, answers: &Answers) -> Self {
        let clients: Option<Vec<Client>> = answers.clients.as_ref().and_then(|said| {
            let said = said["clients"].as_object()?.iter().take(CLIENTS_MAX);
            Some(
                said.map(|(to, client)| Client::read(to, client, answers.at))
                    .collect(),
            )
        });
        let takes_faults = answers.faults != Some(Value::Null);
        let rules: Option<Vec<Rule>> = answers.faults.as_ref().and_then(|said| {
            if said.is_null() {
                return Some(Vec::new());
            }
            let said = said["rules"].as_array()?.iter();
            Some(said.filter_map(Rule::read).take(ENTRIES_MAX).collect())
        });
        let gauges = answers.metrics.as_deref().map(gauges);
        let (ready, depends) = depends::readiness(&answers.ready);
        let mut silent = Vec::new();
        for (question, is_silent) in [
            ("clients", clients.is_none()),
            ("faults", rules.is_none()),
            ("metrics", gauges.is_none()),
        ] {
            if is_silent {
                silent.push(question);
            }
        }
        Self {
            service,
            replica,
            ready,
            depends,
            silent,
            clients: clients.unwrap_or_default(),
            takes_faults,
            rules,
            gauges: gauges.unwrap_or_default(),
        }
    }

    /// What it depends on, as far as is known, each with who depends on it.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = (&'static str, &Dependency)> {
        let service = self.service;
        let depends = self.depends.iter().flatten();
        depends.map(move |dependency| (service, dependency))
    }

    /// Adds from an earlier poll the names of what this replica does not report now, with unknown values, so that something that
    /// cannot be queried does not look as if it did not exist.
    pub(super) fn recall(&mut self, before: &Self) {
        if self.depends.is_none() {
            self.depends = before.depends.as_deref().map(depends::unknown);
        }
        if self.silent.contains(&"clients") {
            self.clients = before.clients.clone();
            for client in &mut self.clients {
                client.now = None;
            }
        }
        if self.silent.contains(&"faults") {
            self.takes_faults = before.takes_faults;
        }
        if self.silent.contains(&"metrics") {
            self.gauges = before.gauges.clone();
            for gauge in &mut self.gauges {
                gauge.value = None;
            }
        }
    }
}

impl Client {
    fn read(to: &str, client: &Value, at: u64) -> Self {
        let of = |name: &str| {
            let endpoints = client["endpoints"].as_array().into_iter().flatten();
            endpoints
                .filter_map(|endpoint| endpoint[name].as_u64())
                .fold(0_u64, u64::saturating_add)
        };
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let rejected = &client["bulkhead"]["rejected"];
        let breaker = &client["breaker"];
        Self {
            to: name(to),
            now: Some(Numbers {
                shed: number(&rejected["full"])
                    .saturating_add(number(&rejected["waited_too_long"])),
                retries_left: number(&client["retry"]["budget_available"]),
                breaker: match breaker.is_null() {
                    true => "none",
                    false => plain(breaker["state"].as_str().unwrap_or_default()),
                },
                window: breaker["window"].is_object().then(|| Window {
                    calls: number(&breaker["window"]["calls"]),
                    failures: number(&breaker["window"]["failures"]),
                }),
            }),
            counted: Counted {
                at,
                calls: of("calls"),
                errors: of("failures"),
            },
        }
    }
}

impl Counted {
    /// Calls and errors a second since these counters were read; `None` if that is too long ago for a present rate.
    pub(super) fn since(self, before: Self) -> Option<(f64, f64)> {
        let seconds = self.at.saturating_sub(before.at) as f64 / 1e6;
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let is_rate = seconds > 0.0 && seconds < RATE_SECONDS_MAX;
        is_rate.then(|| {
            (
                rate(self.calls, before.calls),
                rate(self.errors, before.errors),
            )
        })
    }
}

impl Rule {
    /// `None` if it is not a rule.
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            target: name(value["target"].as_str()?),
            kind: cut(value["kind"].as_str()?, KIND_CHARS_MAX),
            percent: value["percent"].as_u64().unwrap_or(100),
            broken: value["broken"].as_u64().unwrap_or_default(),
            delay_ms: value["delay_ms"].as_u64(),
        })
    }
}

/// The source of gauges of a kind: the metric, the messaging systems, and the labels with the names.
struct Source {
    of: Counts,
    metric: &'static str,
    is_meant: fn(&str) -> bool,
    labels: [&'static str; 2],
}

const SOURCES: [Source; 4] = [
    Source {
        of: Counts::Outbox,
        metric: "outbox_pending",
        is_meant: |_| true,
        labels: ["database", ""],
    },
    Source {
        of: Counts::Lag,
        metric: "messaging_consumer_lag",
        is_meant: |system| system == "kafka",
        labels: [
            "messaging_consumer_group_name",
            "messaging_destination_name",
        ],
    },
    Source {
        of: Counts::Queue,
        metric: "messaging_consumer_lag",
        is_meant: |system| system != "kafka",
        labels: ["messaging_destination_name", ""],
    },
    Source {
        of: Counts::DeadLetters,
        metric: "messaging_dead_letters",
        is_meant: |_| true,
        labels: ["source", ""],
    },
];

impl Source {
    /// The highest value for each of the names in a text.
    fn read(&self, text: &str) -> Vec<Gauge> {
        let meant = samples(text, self.metric)
            .filter(|sample| (self.is_meant)(sample.label("messaging_system").unwrap_or_default()));
        let mut found: BTreeMap<[String; 2], f64> = BTreeMap::new();
        for sample in meant.take(4 * ENTRIES_MAX) {
            let names = self
                .labels
                .map(|label| name(sample.label(label).unwrap_or_default()));
            let value = found.entry(names).or_insert(sample.value);
            *value = value.max(sample.value);
        }
        let found = found.into_iter().take(ENTRIES_MAX);
        found
            .map(|(names, value)| Gauge {
                of: self.of,
                names,
                value: Some(value),
            })
            .collect()
    }
}

/// The gauges that a state shows.
fn gauges(text: &str) -> Vec<Gauge> {
    SOURCES
        .iter()
        .flat_map(|source| source.read(text))
        .collect()
}

fn name(text: &str) -> String {
    cut(text, NAME_CHARS_MAX)
}

fn plain(state: &str) -> &'static str {
    match state {
        "open" | "forced_open" => "open",
        "half_open" => "half_open",
        _ => "closed",
    }
}
