//! Events that readers of hops get besides hops: state changes of breakers, messages that are parked.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

use super::{cut, now, watched};

/// Where the events of breakers come from.
const BREAKERS: &str = "resilience::circuit_breaker";
/// A field of those that tell of a change: the new state. A refused call is no change; its own hop shows it.
const STATE: &str = "state";
/// A field of events that tell of a message that was moved to the dead letters.
const DEAD_LETTER: &str = "dead_letter";
/// The fields of such events that readers get. Reasons are left out: they are texts of handlers, which may quote a message.
const TOLD: [&str; 11] = [
    "breaker",
    STATE,
    "failure_rate_percent",
    "calls",
    "failures",
    "slow",
    "in_a_row",
    "open_ms",
    "topic",
    "queue",
    "attempt",
];

/// Whether events of this callsite are for readers of hops.
pub(crate) fn is_told(metadata: &Metadata<'_>) -> bool {
    let has = |name| metadata.fields().field(name).is_some();
    (metadata.target().starts_with(BREAKERS) && has(STATE)) || has(DEAD_LETTER)
}

/// Tells the readers of `service`.
pub(crate) fn tell(event: &Event<'_>, service: &str) {
    let mut told = Told::default();
    event.record(&mut told);
    let kind = match event.metadata().fields().field(DEAD_LETTER) {
        Some(_) => "dead_letter",
        None => "breaker",
    };
    // A breaker is named "caller to peer" where services share a process.
    let name = told.fields.get("breaker").and_then(Value::as_str);
    let (caller, peer) = name.map_or((None, None), |name| match name.split_once(" to ") {
        Some((caller, peer)) => (Some(caller.to_owned()), Some(peer.to_owned())),
        None => (None, Some(name.to_owned())),
    });
    let service = caller.as_deref().unwrap_or(service);
    let Some(ring) = watched(service) else { return };
    if let Some(peer) = peer {
        told.put("to", peer);
    }
    let mut record = told.fields;
    record.insert("at".to_owned(), now().into());
    record.insert("service".to_owned(), service.into());
    record.insert("what".to_owned(), json!(cut(&told.message)));
    ring.push(kind, &record);
}

#[derive(Default)]
struct Told {
    message: String,
    fields: Map<String, Value>,
}

impl Told {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    fn note(&mut self, field: &Field, value: impl Into<Value>) {
        if TOLD.contains(&field.name()) {
            self.put(field.name(), value);
        }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A forced breaker admits or refuses calls like any other, so readers have three states to know.
        let value = match field.name() {
            STATE => value.trim_start_matches("forced_"),
            _ => value,
        };
        self.note(field, cut(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else if TOLD.contains(&field.name()) {
            self.put(field.name(), cut(&format!("{value:?}")));
        }
    }
}
