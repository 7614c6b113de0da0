//! The `tracing` layer that makes records of spans.
//!
//! A span is a hop if it has the field `otel.kind`, and if somebody reads the hops of its service. Its `start` is told when it
//! is entered for the first time: by then its parent is set, and OpenTelemetry has given it its id. Its `end` is told
//! when it closes.
//!
//! Calls and transactions are hops only as part of another one, in the same process: a request or a message. So what a
//! service does by itself all the time, such as asking for keys, is in no picture.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::trace::TraceContextExt;
use tracing::span::{Attributes, Id, Record as Values};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::events;
use super::fields::Fields;
use super::record::{self, Record};
use super::{Ring, TARGET, is_on, now, watched};
use crate::telemetry::Inherited;

/// See the module.
pub(crate) struct Hops {
    /// The service of spans that name none.
    pub(crate) service: &'static str,
    /// Spans are exported, whether or not somebody reads hops.
    pub(crate) exports: bool,
}

/// What is kept with a span that is a hop.
pub(super) struct Hop {
    ring: Arc<Ring>,
    at: u64,
    begun: Instant,
    ids: Option<Ids>,
    pub(super) fields: Fields,
}

#[derive(Clone)]
struct Ids {
    trace: String,
    span: String,
}

impl Hops {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() != TARGET || self.exports || is_on()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Hops {
    /// Asked again whenever the first reader comes or the last one goes.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !is_on() || attributes.metadata().fields().field("otel.kind").is_none() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let inherited = Inherited::of(Some(span.scope()));
        let service = fields.service.as_deref().or(inherited.service.as_deref());
        let Some(ring) = watched(service.unwrap_or(self.service)) else {
            return;
        };
        if fields.side.is_none() {
            return;
        }
        if matches!(fields.side.as_deref(), Some("client" | "internal")) {
            let outer = span.scope().skip(1).find_map(|outer| {
                let extensions = outer.extensions();
                extensions.get::<Hop>().map(|hop| hop.ids.clone())
            });
            match outer {
                Some(Some(ids)) => fields.parent = Some(ids.span),
                _ => return,
            }
        }
        span.extensions_mut().insert(Hop {
            ring,
            at: now(),
            begun: Instant::now(),
            ids: None,
            fields,
        });
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        if !is_on() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        if let Some(hop) = span.extensions_mut().get_mut::<Hop>() {
            values.record(&mut hop.fields);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if !is_on() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(hop) = extensions.get_mut::<Hop>() else {
            return;
        };
        if hop.ids.is_some() {
            return;
        }
        // OpenTelemetry's layer has just entered the same span.
        let current = opentelemetry::Context::current();
        let current = current.span().span_context().clone();
        if current.is_valid() {
            hop.ids = Some(Ids {
                trace: current.trace_id().to_string(),
                span: current.span_id().to_string(),
            });
            hop.starts();
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if is_on() && events::is_told(event.metadata()) {
            let inherited = Inherited::of(context.event_scope(event));
            let service = inherited.service.as_deref().unwrap_or(self.service);
            events::tell(event, service);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        // Also when nobody reads any more: whoever saw the start is owed the end, and the ring is asked below.
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(hop) = span.extensions_mut().remove::<Hop>() else {
            return;
        };
        hop.ends();
    }
}

impl Hop {
    fn starts(&self) {
        self.outbox("start", |record| record);
        self.tell("start", |record| record);
    }

    fn ends(&self) {
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

    fn tell<'a>(&'a self, phase: &'static str, then: impl FnOnce(Record<'a>) -> Record<'a>) {
        if let Some(record) = self.record(phase) {
            self.ring.push("hop", &then(record));
        }
    }

    /// The wait in the outbox before this message was published, a hop of its own: from the event until the broker has it.
    fn outbox<'a>(&'a self, phase: &'static str, then: impl FnOnce(Record<'a>) -> Record<'a>) {
        let Some(waited) = &self.fields.waited else {
            return;
        };
        let Some(record) = self.record(phase) else {
            return;
        };
        let record = Record {
            span_id: &waited.id,
            parent_span_id: waited.parent.as_deref(),
            to: Some("outbox"),
            kind: "outbox",
            side: "internal",
            name: self.fields.destination.as_deref().unwrap_or("outbox"),
            attempt: 1,
            at: waited.since,
            ..record
        };
        self.ring.push("hop", &then(record));
    }

    fn record(&self, phase: &'static str) -> Option<Record<'_>> {
        let (ids, fields) = (self.ids.as_ref()?, &self.fields);
        let service = fields.service.as_deref().unwrap_or(self.ring.service());
        let (from, to) = record::ends(fields, service);
        let sequence = fields.detail.get("ce_sequence");
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
            causation_id: fields.detail.get("ce_causationid").map(String::as_str),
            sequence: sequence.and_then(|sequence| sequence.parse().ok()),
            detail: &fields.detail,
        })
    }
}
