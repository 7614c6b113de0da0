//! Trace context out of the process.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Writes the current span's trace context into `headers` (`traceparent`, `tracestate`). Without telemetry it
/// leaves them as they are. The propagator is named here instead of taken from OpenTelemetry's global one,
/// which would do nothing until somebody remembers to set it.
pub fn inject(headers: &mut HeaderMap) {
    let context = tracing::Span::current().context();
    if context.span().span_context().is_valid() {
        // Another's state beside our parent would be a lie.
        headers.remove("tracestate");
    }
    TraceContextPropagator::new().inject_context(&context, &mut Headers(headers));
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            // The W3C propagator writes an empty tracestate, which says nothing.
            if !value.is_empty() {
                self.0.insert(name, value);
            }
        }
    }
}
