//! The fields that a log line inherits from its spans.

use std::fmt;

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Stored with each span that has one of these fields.
#[derive(Clone, Default)]
pub(crate) struct Inherited {
    pub(crate) service: Option<String>,
    pub(super) trace_id: Option<String>,
    /// The service that calls, at the door of a service with a sidecar.
    pub(super) caller: Option<String>,
}

impl Inherited {
    /// The fields for a line; the value of the innermost span counts.
    pub(crate) fn of<'a, S>(scope: Option<tracing_subscriber::registry::Scope<'a, S>>) -> Self
    where
        S: Subscriber + LookupSpan<'a>,
    {
        let mut found = Self::default();
        for span in scope.into_iter().flatten() {
            if let Some(near) = span.extensions().get::<Self>() {
                found.service = found.service.or_else(|| near.service.clone());
                found.trace_id = found.trace_id.or_else(|| near.trace_id.clone());
                found.caller = found.caller.or_else(|| near.caller.clone());
            }
            if found.service.is_some() && found.trace_id.is_some() {
                break;
            }
        }
        found
    }

    fn is_empty(&self) -> bool {
        self.service.is_none() && self.trace_id.is_none() && self.caller.is_none()
    }
}

impl Visit for Inherited {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "service" => self.service = Some(value.to_owned()),
            "trace_id" => self.trace_id = Some(value.to_owned()),
            "caller" => self.caller = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// Stores the fields of spans when they are created and recorded.
pub(super) struct Inherit;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Inherit {
    /// Spans below INFO have none of these fields. Without a hint of each layer the process has no least level.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Inherited::default();
        attributes.record(&mut fields);
        if !fields.is_empty()
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Inherited::default();
        values.record(&mut fields);
        // Of what is recorded most is none of these: a status, an outcome.
        if fields.is_empty() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(known) = extensions.get_mut::<Inherited>() {
            values.record(known);
        } else {
            extensions.insert(fields);
        }
    }
}
