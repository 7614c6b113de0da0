//! Propagation of the trace context to peers.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Writes the current span's trace context into `headers` (`traceparent`, `tracestate`). Without telemetry it leaves
/// them as they are. It uses its own propagator instead of OpenTelemetry's global one, which does nothing unless a
/// start-up step sets it.
pub fn inject(headers: &mut HeaderMap) {
    let context = tracing::Span::current().context();
    if context.span().span_context().is_valid() {
        // A `tracestate` of another trace must not stay beside our `traceparent`.
        headers.remove("tracestate");
    }
    TraceContextPropagator::new().inject_context(&context, &mut Headers(headers));
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            // The W3C propagator writes an empty tracestate, which carries no information.
            if !value.is_empty() {
                self.0.insert(name, value);
            }
        }
    }
}
