//! What is known of a hop, and the start that is told of it.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::fields::Fields;
use super::record::{self, Record, Travelled, written};

/// What is known of a hop, which the ring may have to write down later.
#[derive(Debug)]
pub(super) struct Known {
    /// The service of hops that name none.
    pub(super) service: &'static str,
    pub(super) at: u64,
    pub(super) ids: OnceLock<Ids>,
    pub(super) fields: Mutex<Fields>,
}

/// As OpenTelemetry has them, in hexadecimal digits.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) trace: String,
    pub(crate) span: String,
}

/// The start of a hop that is not written down yet.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) known: Arc<Known>,
    /// It is that of the wait in the outbox.
    pub(super) of_wait: bool,
}

impl Start {
    /// The record, with what is known of the hop by now.
    pub(super) fn written(&self) -> Option<Box<str>> {
        let fields = self.known.fields.lock();
        let record = self.known.record("start", &fields)?;
        if self.of_wait {
            written(&waited(record, &fields)?)
        } else {
            written(&record)
        }
    }
}

impl Known {
    pub(super) fn record<'a>(
        &'a self,
        phase: &'static str,
        fields: &'a Fields,
    ) -> Option<Record<'a>> {
        let ids = self.ids.get()?;
        let service = fields.service.as_deref().unwrap_or(self.service);
        let (from, to) = record::ends(fields, service);
        let sequence = fields.shown("ce_sequence");
        Some(Record {
            phase,
            trace_id: &ids.trace,
            span_id: &ids.span,
            parent_span_id: fields.parent.as_deref(),
            service,
            from,
            to,
            kind: fields.kind(),
            side: fields.side.as_deref().unwrap_or("internal"),
            name: fields.name.as_deref().unwrap_or_default(),
            attempt: fields.attempt.unwrap_or(1),
            at: self.at,
            duration_us: None,
            outcome: None,
            status: None,
            fault: fields.fault.as_deref(),
            breaker: fields.breaker.as_deref(),
            causation_id: fields.shown("ce_causationid"),
            sequence: sequence.and_then(|sequence| sequence.parse().ok()),
            detail: Travelled {
                headers: &fields.detail,
                data: &fields.data,
            },
        })
    }
}

/// The wait in the outbox before this message was published, a hop of its own: from the event until the broker has it.
pub(super) fn waited<'a>(record: Record<'a>, fields: &'a Fields) -> Option<Record<'a>> {
    let waited = fields.waited.as_ref()?;
    Some(Record {
        span_id: &waited.id,
        parent_span_id: waited.parent.as_deref(),
        to: Some("outbox"),
        kind: "outbox",
        side: "internal",
        name: fields.destination.as_deref().unwrap_or("outbox"),
        attempt: 1,
        at: waited.since,
        // Shown with the message, once.
        detail: Travelled {
            data: &[],
            ..record.detail
        },
        ..record
    })
}
