//! What every request to every service passes through, in one place and one order.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};

use super::observe::observe;

/// Wraps the routes of a service in what all services do. From the outside in:
///
/// 1. **trace**: the caller's `traceparent` becomes the parent of a span, so that everything below
///    (and every log line) belongs to the caller's trace;
/// 2. **metrics**: rate, errors, duration by matched route, method and status class
///    (`http_requests_total`, `http_request_duration_seconds`, `http_requests_in_flight`); outside
///    of everything that may answer, so that nothing is missed;
/// 3. **problems**: errors without a body (axum's own 404 and 405) become problem documents, and
///    every problem gets `instance` and `trace_id`;
/// 4. **panics**: a 500 problem that says nothing of it; outside of the body limit, so that the
///    rest of the body is drained then, too;
/// 5. **body limit**: `body_limit` bytes, else 413, whose answer the client really receives.
///
/// Add authentication *inside* of it (`router.layer(auth::http_layer(..))` first, then `standard`),
/// so that refused callers are traced, counted and answered with whole documents.
///
/// They are one layer in the code: axum boxes the future of each layer, for every request.
pub fn standard(service: &'static str, router: Router, body_limit: usize) -> Router {
    router
        // axum's own limit of 2 MB would answer first, in plain text.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(move |request: Request, next: Next| {
            observe(service, body_limit, request, next)
        }))
}
