//! Hops as they happen: what a process sends, takes and works on, told while it is under way, at `GET /hops` of the admin
//! port (ADR 35).
//!
//! A *hop* is one side of one call, one message, one transaction or one mail. It has a record when it starts and one when it
//! ends, so that a call that hangs is seen while it hangs; while many records wait to be read, one that has ended before its start
//! was read has its end alone, which says all of it. A start is written when it is first read, with what is known by then: under load
//! most are not written at all. Records are derived from spans with OpenTelemetry's field names
//! (the layer is `telemetry`'s); no code says the same twice.
//!
//! Each service of a process has a ring of its own ([`Ring`]). **While nobody reads, nothing is recorded**: spans that exist
//! for hops alone have the target [`TARGET`], and are disabled where they are made, by an atomic load of their callsite.
//! Recording begins with a reader, and goes on for [`LINGER`] after the last one, so that a reader who comes back misses
//! nothing.
//!
//! **No secret is in a record**: it has names, ids, times and outcomes, of headers only those of [`DETAILS`], and of an event's
//! data what a program has made (`data`); every value is cut to [`VALUE_BYTES_MAX`].

mod batch;
mod data;
mod entry;
pub(crate) mod events;
mod fields;
mod hop;
mod known;
mod record;
mod ring;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

pub(crate) use batch::Batch;
pub(crate) use fields::Fields;
pub(crate) use hop::Hop;
pub(crate) use known::Ids;
pub(crate) use ring::Reader;
pub use ring::{LINGER, RING_BYTES_MAX, Ring};

/// The target of spans that exist only to be seen: `tracing::info_span!(target: "hop", ..)`. They are enabled while somebody
/// reads hops, or while spans are exported.
pub const TARGET: &str = "hop";
/// The most bytes of any value in a record; a longer one is cut.
pub const VALUE_BYTES_MAX: usize = 200;
/// The headers of requests and messages that a record may show; of no other is it shown that it was there.
pub const DETAILS: [&str; 12] = [
    "content-type",
    "content-length",
    "x-request-timeout-ms",
    "grpc-timeout",
    "ce_id",
    "ce_type",
    "ce_source",
    "ce_subject",
    "ce_time",
    "ce_sequence",
    "ce_correlationid",
    "ce_causationid",
];

/// The rings of this process, by service. Services are registered by code, so the map is bounded.
static RINGS: LazyLock<RwLock<HashMap<&'static str, Arc<Ring>>>> = LazyLock::new(RwLock::default);

/// Whether anybody reads the hops of any service of this process.
pub fn is_on() -> bool {
    ring::is_any_watched()
}

/// The ring of a service, created on the first call. It takes memory only while it has a reader.
pub fn ring(service: &'static str) -> Arc<Ring> {
    if let Some(ring) = RINGS.read().get(service) {
        return Arc::clone(ring);
    }
    let mut rings = RINGS.write();
    Arc::clone(
        rings
            .entry(service)
            .or_insert_with(|| Arc::new(Ring::new(service))),
    )
}

/// The ring of a service if somebody reads it.
pub(crate) fn watched(service: &str) -> Option<Arc<Ring>> {
    let rings = RINGS.read();
    let ring = rings.get(service)?;
    ring.is_watched().then(|| Arc::clone(ring))
}

/// Adds to what is recorded of a span. Does nothing if it is not recorded.
pub(crate) fn with(span: &Span, add: impl FnOnce(&mut Fields)) {
    if !is_on() {
        return;
    }
    span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let span = registry.span(id)?;
        add(&mut span.extensions().get::<Hop>()?.fields());
        Some(())
    });
}

/// Tells readers of a service's hops that faults were set or cleared.
pub(crate) fn faults(service: &'static str, rules: &serde_json::Value) {
    if let Some(ring) = watched(service) {
        let record = serde_json::json!({ "at": now(), "service": service, "rules": rules });
        ring.push("fault", &record);
    }
}

/// Microseconds since the Unix epoch.
fn now() -> u64 {
    micros(SystemTime::now())
}

fn micros(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// `text` cut to at most [`VALUE_BYTES_MAX`], at the end of a character.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(VALUE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("x{}", "é".repeat(200));
        assert_eq!(cut(&long).len(), 199);
    }
}
