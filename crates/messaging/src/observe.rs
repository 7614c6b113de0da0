//! Metrics of publishers and consumers, by the names and labels of OpenTelemetry's conventions for messaging.
//!
//! Handles are looked up once for each destination, not for each message: a lookup hashes and copies its labels.
//!
//! Metrics that the conventions do not define have names of the same form: the time in the queue, attempts, outcomes, the lag.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use parking_lot::RwLock;

use crate::{Delivery, PublishError};

/// Destinations whose publications are told apart; those beyond share the name [`OTHERS`]. Destinations come from code,
/// so this is never reached; if it is, metrics must not grow without end.
const DESTINATIONS_MAX: usize = 256;
const OTHERS: &str = "_OTHER";

/// Where messages go or come from, as labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// `kafka`, `rabbitmq`, `postgresql` or `memory`.
    pub(crate) system: &'static str,
    /// The topic, queue or exchange.
    pub(crate) destination: &'a str,
    /// The consumer group, for those who have one.
    pub(crate) group: Option<&'a str>,
}

impl Place<'_> {
    fn labels(&self) -> Vec<Label> {
        let mut labels = vec![
            Label::from_static_parts("messaging_system", self.system),
            Label::new("messaging_destination_name", self.destination.to_owned()),
        ];
        if let Some(group) = self.group {
            labels.push(Label::new(
                "messaging_consumer_group_name",
                group.to_owned(),
            ));
        }
        labels
    }

    fn labels_with(&self, key: &'static str, value: &'static str) -> Vec<Label> {
        let mut labels = self.labels();
        labels.push(Label::from_static_parts(key, value));
        labels
    }

    /// The messages that wait: `messaging_consumer_lag`.
    pub(crate) fn lag(&self) -> Gauge {
        gauge!("messaging_consumer_lag", self.labels())
    }
}

/// The metrics of what a consumer takes from one queue, or from one partition.
pub(crate) struct Consumed {
    consumed: Counter,
    waited: Histogram,
    durations: [Histogram; 4],
    attempts: Histogram,
    done: Counter,
    retried: Counter,
    parked: Counter,
    dropped: Counter,
    lost: Counter,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Done,
    /// It is tried again.
    Retried,
    /// It is in the dead-letter queue.
    #[allow(dead_code, reason = "the bus in memory parks nothing")]
    Parked,
    /// There is no dead-letter queue.
    #[cfg_attr(
        not(feature = "memory"),
        allow(dead_code, reason = "of this engine only")
    )]
    Dropped,
    /// Another consumer gets it again.
    #[cfg_attr(not(feature = "_queue"), allow(dead_code, reason = "of queues only"))]
    Lost,
}

/// How a handler ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Done,
    Transient,
    Permanent,
    Panicked,
}

/// The same as `error_type` has it; empty: there was no error.
const RESULTS: [&str; 4] = ["", "transient", "permanent", "panic"];

impl Consumed {
    pub(crate) fn new(place: Place<'_>) -> Self {
        let settled = |outcome| {
            counter!(
                "messaging_settled_messages_total",
                place.labels_with("outcome", outcome)
            )
        };
        Self {
            consumed: counter!(
                "messaging_client_consumed_messages_total",
                place.labels_with("messaging_operation_name", "receive")
            ),
            waited: histogram!("messaging_queue_duration_seconds", place.labels()),
            durations: RESULTS.map(|result| {
                let mut labels = place.labels_with("messaging_operation_name", "process");
                if !result.is_empty() {
                    labels.push(Label::from_static_parts("error_type", result));
                }
                histogram!("messaging_process_duration_seconds", labels)
            }),
            attempts: histogram!("messaging_process_attempts", place.labels()),
            done: settled("done"),
            retried: settled("retried"),
            parked: settled("parked"),
            dropped: settled("dropped"),
            lost: settled("lost"),
        }
    }

    /// A handler is about to get the message. The first time, the time since it was published counts as time in the
    /// queue; later it would be that of the pauses between the attempts.
    pub(crate) fn received(&self, delivery: &Delivery) {
        self.consumed.increment(1);
        if delivery.attempt == 1
            && let Some(sent_at) = delivery.sent_at
        {
            // Clocks of two machines differ: what arrives before it was sent has not waited.
            let waited = SystemTime::now()
                .duration_since(sent_at)
                .unwrap_or_default();
            self.waited.record(waited);
        }
    }

    /// A handler has had `count` messages for `took`.
    pub(crate) fn processed(&self, ended: Ended, count: usize, took: Duration) {
        // A batch is one call, and each of its messages had its share of it.
        let count = count.max(1);
        let share = took / u32::try_from(count).unwrap_or(u32::MAX);
        self.durations[ended as usize].record_many(share, count);
    }

    /// It is known what becomes of `count` messages after their `attempt`-th attempt.
    pub(crate) fn settled(&self, settled: Settled, attempt: u32, count: usize) {
        let (counter, is_final) = match settled {
            Settled::Done => (&self.done, true),
            Settled::Retried => (&self.retried, false),
            Settled::Parked => (&self.parked, true),
            Settled::Dropped => (&self.dropped, true),
            Settled::Lost => (&self.lost, false),
        };
        counter.increment(count as u64);
        if is_final {
            self.attempts.record_many(f64::from(attempt), count);
        }
    }
}

/// The metrics of a publisher.
pub(crate) struct Sent {
    system: &'static str,
    destinations: RwLock<HashMap<String, SentTo>>,
}

struct SentTo {
    /// Messages and durations by their result, as `error_type` has it; the first is without an error.
    results: [(Counter, Histogram); 3],
}

impl Sent {
    pub(crate) fn new(system: &'static str) -> Self {
        Self {
            system,
            destinations: RwLock::default(),
        }
    }

    /// Counts a message that a caller wanted published, and how long the answer took.
    pub(crate) fn note(&self, destination: &str, error: Option<&PublishError>, took: Duration) {
        let at = match error {
            None => 0,
            Some(PublishError::Unavailable(_)) => 1,
            Some(PublishError::Rejected(_) | PublishError::TooLarge(_)) => 2,
        };
        if let Some(known) = self.destinations.read().get(destination) {
            return known.note(at, took);
        }
        let mut destinations = self.destinations.write();
        let name = if destinations.len() < DESTINATIONS_MAX {
            destination
        } else {
            OTHERS
        };
        let new = || SentTo::new(self.system, name);
        let added = destinations.entry(name.to_owned()).or_insert_with(new);
        added.note(at, took);
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sent")
    }
}

impl SentTo {
    fn new(system: &'static str, destination: &str) -> Self {
        let place = Place {
            system,
            destination,
            group: None,
        };
        let results = ["", "unavailable", "rejected"].map(|result| {
            let mut labels = place.labels_with("messaging_operation_name", "publish");
            if !result.is_empty() {
                labels.push(Label::from_static_parts("error_type", result));
            }
            (
                counter!("messaging_client_sent_messages_total", labels.clone()),
                histogram!("messaging_client_operation_duration_seconds", labels),
            )
        });
        Self { results }
    }

    /// Counts one with the result at this place.
    fn note(&self, at: usize, took: Duration) {
        let (messages, durations) = &self.results[at];
        messages.increment(1);
        durations.record(took);
    }
}
