//! Extraction and injection of trace context, with OpenTelemetry's own propagator (W3C `traceparent`, `tracestate`).
//!
//! Incoming trace context is cleaned first ([`clean`]), since it is passed on to every service that the request
//! reaches, and is stored in every event that it causes.
//!
//! Without [`crate::telemetry::init`] there are no ids, and every function here does nothing.

mod context;

use std::io::Write as _;

use axum::http::{HeaderName, HeaderValue};
use envelope::TraceContext;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::hops;

pub use context::clean;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const PROCESS: &str = "process";
/// Version, trace id, span id and flags, in hexadecimal digits with dashes between them.
const TRACERESPONSE_BYTES: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// The trace context of the current span, for data that leaves the process (an event, a row).
pub fn current() -> TraceContext {
    let mut fields = Fields::default();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut fields);
    TraceContext {
        traceparent: fields.traceparent,
        tracestate: fields.tracestate.filter(|state| !state.is_empty()),
    }
}

/// The trace context of a span, for work that follows from it.
pub fn of(span: &Span) -> TraceContext {
    span.in_scope(current)
}

/// The id of the current trace, 32 hexadecimal digits; `None` without a trace.
pub fn current_trace_id() -> Option<String> {
    trace_id(&Span::current())
}

fn trace_id(span: &Span) -> Option<String> {
    let id = span.context().span().span_context().trace_id();
    (id != TraceId::INVALID).then(|| id.to_string())
}

/// Makes a span that was not entered yet the child of the caller's span and records the `trace_id` field for log lines.
/// `lookup` reads the caller's headers (names in lower case).
///
/// Anything but a valid `traceparent` starts a new trace.
pub fn set_parent_from(span: &Span, lookup: impl Fn(&str) -> Option<String>) {
    let fields = Fields {
        traceparent: lookup(TRACEPARENT).filter(|parent| context::is_traceparent(parent)),
        tracestate: lookup(TRACESTATE).and_then(|state| context::tracestate(&state)),
    };
    // Without a parent it is the empty context: a new trace, and not that of the span in which this code happens to
    // run.
    let parent =
        TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &fields);
    // Fails without telemetry, when there is no trace to continue.
    span.set_parent(parent).ok();
    if let Some(traceparent) = &fields.traceparent {
        hops::with(span, |hop| hop.follows(traceparent));
    }
    if let Some(id) = trace_id(span) {
        span.record("trace_id", id);
    }
}

/// The header in which the outer door says which trace a request belongs to.
pub(crate) static TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The [`TRACERESPONSE`] of the answer to the request that a span is (W3C Trace Context, level 2): with it a client finds the
/// trace that its request has begun or continued. `None` without a trace.
pub(crate) fn response(span: &Span) -> Option<HeaderValue> {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    if !ids.is_valid() {
        return None;
    }
    // Written on the stack: the value is the one allocation that this costs.
    let mut text = [0_u8; TRACERESPONSE_BYTES];
    let (trace, id, flags) = (ids.trace_id(), ids.span_id(), ids.trace_flags().to_u8());
    write!(&mut text[..], "00-{trace}-{id}-{flags:02x}").ok()?;
    HeaderValue::from_bytes(&text).ok()
}

/// The span for handling one message. It continues the trace in the message's headers (`traceparent`, or the
/// CloudEvents extension `ce_traceparent`). Whoever handles it may record what this crate does not know:
/// `messaging.system`, `attempt`, `error.type`.
pub fn consumer_span(name: &str, headers: &[(String, String)]) -> Span {
    // For logs it is a child of the current span (for its service), but it is not part of that span's trace.
    let span = tracing::info_span!(
        "message",
        otel.name = name,
        otel.kind = "consumer",
        messaging.operation.name = PROCESS,
        messaging.operation.type = PROCESS,
        messaging.destination.name = destination_of(name),
        messaging.system = tracing::field::Empty,
        attempt = tracing::field::Empty,
        error.type = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    hops::with(&span, |hop| {
        for (name, value) in headers {
            hop.header(name, value);
        }
    });
    let find = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    set_parent_from(&span, |name| {
        find(name).or_else(|| find(&format!("{}{name}", envelope::KAFKA_PREFIX)))
    });
    span
}

/// The destination in the name of a consumer's span, e.g. of `order-events process`.
fn destination_of(name: &str) -> &str {
    name.strip_suffix(PROCESS).map_or(name, str::trim_end)
}

/// The span for sending one message to `destination`. It continues the trace in the headers and is written into them,
/// so that the consumer's span follows from it (`traceparent`). The CloudEvents extension `ce_traceparent`, which
/// identifies where the event happened, is kept. Of the payload is recorded what may be shown.
///
/// No span unless spans are exported or somebody reads [`hops`]: it would cost twenty allocations a message. The context in
/// the headers is passed on either way.
pub fn publish_span(destination: &str, headers: &mut [(String, String)], payload: &[u8]) -> Span {
    if !headers.iter().any(|(key, _)| key == TRACEPARENT) {
        // An event without a trace does not start one by being sent.
        return Span::none();
    }
    let span = tracing::info_span!(
        target: crate::hops::TARGET,
        "publish",
        otel.name = %format_args!("{destination} publish"),
        otel.kind = "producer",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = destination,
        messaging.system = tracing::field::Empty,
        error.type = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let header = |name: &str| {
        let header = headers.iter().find(|(key, _)| key == name);
        header.map(|(_, value)| value.clone())
    };
    set_parent_from(&span, header);
    hops::with(&span, |hop| {
        for (name, value) in headers.iter() {
            hop.header(name, value);
        }
        hop.data(payload);
        hop.waited(destination, header("ce_traceparent").as_deref());
    });
    let mut fields = Fields::default();
    TraceContextPropagator::new().inject_context(&span.context(), &mut fields);
    let header = headers.iter_mut().find(|(key, _)| key == TRACEPARENT);
    if let (Some((_, value)), Some(traceparent)) = (header, fields.traceparent) {
        *value = traceparent;
    }
    span
}

/// The span of work that starts by itself, e.g. by a timer: it starts a new trace.
pub fn root_span(name: &str) -> Span {
    let span = tracing::info_span!("work", otel.name = name, trace_id = tracing::field::Empty);
    set_parent_from(&span, |_| None);
    span
}

/// The span of all work of a service outside of requests: `run(..).instrument(service_span("orders"))` where several
/// services share a process, so that their log lines can be told apart.
///
/// It is not part of any trace: it would never end, and would contain everything that starts in it.
pub fn service_span(service: &'static str) -> Span {
    tracing::info_span!(target: SERVICE_TARGET, "service", service)
}

/// The target of spans that OpenTelemetry does not get.
pub(crate) const SERVICE_TARGET: &str = "chassis::service";

/// The two fields of the W3C recommendation, as OpenTelemetry reads and writes them.
#[derive(Default)]
struct Fields {
    traceparent: Option<String>,
    tracestate: Option<String>,
}

impl Injector for Fields {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.traceparent = Some(value),
            TRACESTATE => self.tracestate = Some(value),
            _ => {}
        }
    }
}

impl Extractor for Fields {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.traceparent.as_deref(),
            TRACESTATE => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}
