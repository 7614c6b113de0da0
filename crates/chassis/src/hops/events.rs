//! What else readers of hops are told: breakers that change, messages that are parked.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

use super::{cut, now, watched};

/// Whose events tell of a breaker's changes.
const BREAKERS: &str = "resilience::circuit_breaker";
/// A field of events that tell of a message that was moved to the dead letters.
const DEAD_LETTER: &str = "dead_letter";
/// The fields of such events that are told. Reasons are texts of handlers, which may quote a message: they are not.
const TOLD: [&str; 10] = [
    "breaker",
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
    metadata.target().starts_with(BREAKERS) || metadata.fields().field(DEAD_LETTER).is_some()
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
        // A call that is refused is no change; its own hop says so.
        let Some(state) = state(&told.message) else {
            return;
        };
        told.put("to", peer);
        told.put("state", state);
    }
    let mut record = told.fields;
    record.insert("at".to_owned(), now().into());
    record.insert("service".to_owned(), service.into());
    record.insert("what".to_owned(), json!(cut(&told.message)));
    ring.push(kind, &record);
}

/// The state that a breaker has now, by the line that it logs; none if the line is about no change.
fn state(message: &str) -> Option<&'static str> {
    let change = message.strip_prefix("circuit breaker ")?;
    Some(if change.contains("probes") {
        "half_open"
    } else if change.contains("open") {
        "open"
    } else {
        "closed"
    })
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
