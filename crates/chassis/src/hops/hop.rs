//! A span that is a hop, and what readers get of it.

use std::sync::Arc;
use std::time::Instant;

use super::fields::Fields;
use super::record::{self, Record, Travelled};
use super::{Ring, now};

/// What is kept with a span that is a hop.
pub(crate) struct Hop {
    ring: Arc<Ring>,
    at: u64,
    begun: Instant,
    ids: Option<Ids>,
    /// The places of the starts that were told, its own and that of its wait in the outbox.
    started: Option<u64>,
    outbox_started: Option<u64>,
    pub(crate) fields: Fields,
}

/// As OpenTelemetry has them, in hexadecimal digits.
pub(crate) struct Ids {
    pub(crate) trace: String,
    pub(crate) span: String,
}

impl Hop {
    /// A hop that begins now, for the readers of `ring`.
    pub(crate) fn new(ring: Arc<Ring>, fields: Fields) -> Self {
        Self {
            ring,
            at: now(),
            begun: Instant::now(),
            ids: None,
            started: None,
            outbox_started: None,
            fields,
        }
    }

    /// Its own ids, once it has been told.
    pub(crate) fn ids(&self) -> Option<&Ids> {
        self.ids.as_ref()
    }

    /// Tells its start, the first time.
    pub(crate) fn start(&mut self, ids: Ids) {
        if self.ids.is_none() {
            self.ids = Some(ids);
            self.starts();
        }
    }

    fn starts(&mut self) {
        self.outbox_started = self.outbox("start", |record| record);
        self.started = self.tell("start", |record| record);
    }

    /// Tells its end.
    pub(crate) fn ends(&self) {
        let duration = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (outcome, status) = record::end(&self.fields);
        let at = self.at.saturating_add(duration);
        self.tell("end", |record| Record {
            at,
            duration_us: Some(duration),
            outcome: Some(outcome),
            status,
            ..record
        });
        if outcome == "ok" {
            self.outbox("end", |record| Record {
                at,
                duration_us: Some(at.saturating_sub(record.at)),
                outcome: Some(outcome),
                ..record
            });
        }
    }

    fn tell<'a>(
        &'a self,
        phase: &'static str,
        then: impl FnOnce(Record<'a>) -> Record<'a>,
    ) -> Option<u64> {
        let record = then(self.record(phase)?);
        self.ring.push_end("hop", &record, self.started)
    }

    /// The wait in the outbox before this message was published, a hop of its own: from the event until the broker has it.
    fn outbox<'a>(
        &'a self,
        phase: &'static str,
        then: impl FnOnce(Record<'a>) -> Record<'a>,
    ) -> Option<u64> {
        let waited = self.fields.waited.as_ref()?;
        let record = self.record(phase)?;
        let record = Record {
            span_id: &waited.id,
            parent_span_id: waited.parent.as_deref(),
            to: Some("outbox"),
            kind: "outbox",
            side: "internal",
            name: self.fields.destination.as_deref().unwrap_or("outbox"),
            attempt: 1,
            at: waited.since,
            // Shown with the message, once.
            detail: Travelled {
                data: &[],
                ..record.detail
            },
            ..record
        };
        self.ring
            .push_end("hop", &then(record), self.outbox_started)
    }

    fn record(&self, phase: &'static str) -> Option<Record<'_>> {
        let (ids, fields) = (self.ids.as_ref()?, &self.fields);
        let service = fields.service.as_deref().unwrap_or(self.ring.service());
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
