//! What `/metrics` says of messages, and spans of their engine: by OpenTelemetry's names, on every engine.

use std::collections::BTreeSet;

use super::Engine;
use crate::support::{Recorder, body, eventually, permanent, transient};

/// What an engine calls what a subscriber gets.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) system: &'static str,
    /// The topic or queue that is consumed.
    pub(crate) destination: String,
    pub(crate) group: Option<String>,
    /// The topic or queue of its dead letters.
    pub(crate) parked_in: Option<String>,
}

/// A metric, what its labels have more than those of the destination, and what it is once all is done.
type Row = (&'static str, &'static str, f64);

/// Of what was consumed: one message was done, one failed once and was done then, and one failed for good.
const CONSUMED: [Row; 9] = [
    (
        "messaging_client_consumed_messages_total",
        "messaging_operation_name=receive",
        4.0,
    ),
    // Once for each message: later it would be the time between two tries.
    ("messaging_queue_duration_seconds_count", "", 3.0),
    (
        "messaging_process_duration_seconds_count",
        "messaging_operation_name=process",
        2.0,
    ),
    (
        "messaging_process_duration_seconds_count",
        "messaging_operation_name=process error_type=transient",
        1.0,
    ),
    (
        "messaging_process_duration_seconds_count",
        "messaging_operation_name=process error_type=permanent",
        1.0,
    ),
    ("messaging_process_attempts_count", "", 3.0),
    ("messaging_process_attempts_sum", "", 4.0),
    ("messaging_settled_messages_total", "outcome=done", 2.0),
    ("messaging_settled_messages_total", "outcome=retried", 1.0),
];
/// What became of the one that failed for good, where such are kept and where they are not.
const PARKED: Row = ("messaging_settled_messages_total", "outcome=parked", 1.0);
const DROPPED: Row = ("messaging_settled_messages_total", "outcome=dropped", 1.0);
/// Of what was published, of which others may have a share.
const PUBLISHED: [&str; 2] = [
    "messaging_client_sent_messages_total",
    "messaging_client_operation_duration_seconds_count",
];

pub(crate) async fn what_becomes_of_messages_is_counted<E: Engine>() {
    // Before anything is counted: what was registered earlier counts nowhere.
    chassis::metrics::install();
    let engine = E::start().await;
    let name = engine.own_name();
    let named = engine.named(&name);
    let handler = Recorder::with(|delivery| async move {
        match (body(&delivery).as_str(), delivery.attempt) {
            ("flaky", 1) => Err(transient("not yet")),
            ("poison", _) => Err(permanent("unreadable")),
            _ => Ok(()),
        }
    });
    let running = engine.subscribe(&name, handler.clone()).await;
    engine.publish_bodies(&["good", "flaky", "poison"]).await;
    handler.wait_done(2).await;
    let consumed = named.labels();
    for (metric, more, count) in CONSUMED {
        until(metric, &with(&consumed, more), |value| value == count).await;
    }
    let (metric, more, count) = if E::NATURE.parks { PARKED } else { DROPPED };
    until(metric, &with(&consumed, more), |value| value == count).await;
    // On Kafka it comes with the client's statistics, every 5 s.
    until("messaging_consumer_lag", &consumed, |value| value >= 0.0).await;
    let to = engine.destination();
    let published = labels_of(named.system, to.name());
    let published = with(&published, "messaging_operation_name=publish");
    for metric in PUBLISHED {
        until(metric, &published, |value| value >= 3.0).await;
    }
    running.stop().await;

    // What the spans have for `messaging.system`.
    let of_publisher = engine.publisher().system(&to);
    assert_eq!(of_publisher, named.system);
    assert!(handler.seen().iter().all(|it| it.system == named.system));

    assert_eq!(named.parked_in.is_some(), E::NATURE.parks);
    if let Some(place) = named.parked_in {
        // A consumer counts them when it starts.
        let counting = engine.subscribe(&name, Recorder::new()).await;
        let source = with(&BTreeSet::new(), &format!("source={place}"));
        until("messaging_dead_letters", &source, |value| value == 1.0).await;
        counting.stop().await;
    }
}

impl Named {
    fn labels(&self) -> BTreeSet<String> {
        let labels = labels_of(self.system, &self.destination);
        match &self.group {
            None => labels,
            Some(group) => with(&labels, &format!("messaging_consumer_group_name={group}")),
        }
    }
}

/// Those of a place, as `name=value`.
fn labels_of(system: &str, destination: &str) -> BTreeSet<String> {
    let labels = [
        format!("messaging_system={system}"),
        format!("messaging_destination_name={destination}"),
    ];
    labels.into()
}

/// The same with more, which are separated by spaces.
fn with(labels: &BTreeSet<String>, more: &str) -> BTreeSet<String> {
    let more = more.split_whitespace().map(str::to_owned);
    labels.iter().cloned().chain(more).collect()
}

/// Waits until a metric with these labels, and no others, has such a value.
pub(crate) async fn until(metric: &str, labels: &BTreeSet<String>, is_right: impl Fn(f64) -> bool) {
    let what = format!("{metric} with {labels:?}");
    eventually(&what, async || {
        let all = chassis::metrics::render();
        value(&all, metric, labels).is_some_and(&is_right)
    })
    .await;
}

/// A line is `name{label="value",…} number`; no value here has a comma in it.
fn value(all: &str, metric: &str, labels: &BTreeSet<String>) -> Option<f64> {
    all.lines().find_map(|line| {
        let (name, rest) = line.split_once('{')?;
        let (inside, number) = rest.rsplit_once("} ")?;
        let found: BTreeSet<_> = inside.split(',').map(|it| it.replace('"', "")).collect();
        let is_it = name == metric && found == *labels;
        is_it.then(|| number.parse().ok())?
    })
}
