//! The layer that records spans as [hops](crate::hops).
//!
//! A span is a hop if it has the field `otel.kind` and the hops of its service have a reader. Its `start` is recorded when it is
//! entered for the first time: by then its parent is set, and OpenTelemetry can assign its id. Its `end` is recorded when it
//! closes.
//!
//! Calls and transactions are hops only within another hop of the same process, a request or a message. So periodic work of a
//! service, such as refreshing keys, is not shown.
//!
//! As the outermost layer it also decides what exists at all: a span or event that no layer looks at is disabled at its callsite.
//! Without that, the layers without a filter of their own would keep every span of h2 and every statement of sqlx enabled.

use opentelemetry::trace::TraceContextExt;
use tracing::dispatcher::get_default;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as Values};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::inherit::Inherited;
use super::is_exported;
use crate::hops::{Fields, Hop, Ids, TARGET, events, is_on, watched};

/// See the module.
pub(super) struct Hops {
    /// The service of spans that name none.
    pub(super) service: &'static str,
    /// Spans are exported, whether or not somebody reads hops.
    pub(super) exports: bool,
    /// The lowest level that lines are written of.
    pub(super) lines: LevelFilter,
}

/// The ids of a span. OpenTelemetry assigns them now, unless somebody has asked for them before.
fn ids(span: &Id, dispatch: &Dispatch) -> Option<Ids> {
    let context = get_otel_context(span, dispatch)?;
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| Ids {
        trace: context.trace_id().to_string(),
        span: context.span_id().to_string(),
    })
}

impl Hops {
    /// Whether any layer looks at it.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.target() == TARGET {
            return self.exports || is_on();
        }
        *metadata.level() <= self.lines
            || is_exported(metadata, self.exports)
            || events::is_told(metadata)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Hops {
    /// Evaluated again whenever the first reader comes or the last one goes.
    ///
    /// Never `always`: then the filters of the inner layers would not be asked, and would go by what they said in this thread
    /// last, about an event that none of them wanted. A span would be missing in a layer now and then.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Breakers tell of their probes at DEBUG.
        Some(self.lines.max(LevelFilter::DEBUG))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !is_on() || attributes.metadata().fields().field("otel.kind").is_none() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if fields.side.is_none() {
            return;
        }
        let inherited = match fields.service {
            Some(_) => None,
            None => Inherited::of(Some(span.scope())).service,
        };
        let service = fields.service.as_deref().or(inherited.as_deref());
        let Some(ring) = watched(service.unwrap_or(self.service)) else {
            return;
        };
        if matches!(fields.side.as_deref(), Some("client" | "internal")) {
            let outer = span.scope().skip(1).find_map(|outer| {
                let extensions = outer.extensions();
                let hop = extensions.get::<Hop>()?;
                Some(hop.ids().map(|ids| ids.span.clone()))
            });
            match outer {
                Some(Some(span)) => fields.parent = Some(span),
                _ => return,
            }
        }
        span.extensions_mut().insert(Hop::new(ring, fields));
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        if !is_on() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        if let Some(hop) = span.extensions().get::<Hop>() {
            values.record(&mut *hop.fields());
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if !is_on() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let extensions = span.extensions();
        if extensions
            .get::<Hop>()
            .is_none_or(|hop| hop.ids().is_some())
        {
            return;
        }
        // OpenTelemetry's layer looks at the same span.
        drop(extensions);
        let Some(ids) = get_default(|dispatch| ids(id, dispatch)) else {
            return;
        };
        if let Some(hop) = span.extensions_mut().get_mut::<Hop>() {
            hop.start(ids);
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
        // Also when the last reader has gone: one that saw the start may come back for the end. The ring decides below
        // whether it is still recorded.
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(hop) = span.extensions_mut().remove::<Hop>() else {
            return;
        };
        hop.ends();
    }
}
