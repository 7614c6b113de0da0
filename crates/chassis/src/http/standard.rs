//! The layers around every request to every service, in one place and one order.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};

use super::counted::Counted;
use super::intake::Side;
use super::observe::{Mark, Observer, observe};
use crate::ServiceInfo;
use crate::limits::Limits;

/// The layers that all services have around their routes. These are for a door whose callers are services and whose requests
/// are [hops](crate::hops); for other doors see the methods of [`Standard`]. From the outside in:
///
/// 1. **trace**: the caller's `traceparent` becomes the parent of a span, so that everything below
///    (and every log line) belongs to the caller's trace; it names the calling service where a sidecar knows it
///    ([`crate::sidecar`]);
/// 2. **metrics**: rate, errors, duration by matched route, method and status class
///    (`http_requests_total`, `http_request_duration_seconds`, `http_requests_in_flight`); outside of every layer that may
///    answer, so that no request is missed;
/// 3. **problems**: errors without a body (axum's own 404 and 405) become problem documents, and
///    every problem gets `instance` and `trace_id`;
/// 4. **panics**: a 500 problem without any detail of the panic; outside of the body limit, so that the rest of the body
///    is drained then, too;
/// 5. **form**: a request without exactly one valid host (400), `TRACE` and `CONNECT` (405), a body in a content coding
///    (415 with `Accept-Encoding: identity`);
/// 6. **deadline**: the caller's `x-request-timeout-ms`, but at most [`Limits::timeout`]; a request that has not begun to
///    answer by then is dropped and answered with a 504 problem. Its handler, and the calls that it makes, see the
///    remaining time. A body that has begun to stream goes on;
/// 7. **arrival**: no work starts before the whole body has arrived; if it does not arrive in time, the answer is a 408
///    problem ([`crate::arrival`]);
/// 8. **load**: requests beyond [`Limits::load`] are refused with a 503 problem and `Retry-After`, before any work is done
///    for them (`resilience_shed_total`, `resilience_shed_waiting`);
/// 9. **body limit**: `body_limit` bytes, otherwise 413, in a way that the client does receive the answer.
///
/// Add authentication *inside* of it (`routes.layer(auth::layer(..))` first, then [`around`](Standard::around)), so that
/// refused callers are traced, counted and answered with complete documents.
///
/// In the code all this is one layer, since axum boxes the future of each layer for every request.
pub fn standard(service: impl Into<ServiceInfo>, body_limit: usize, limits: Limits) -> Standard {
    let service: ServiceInfo = service.into();
    Standard(Observer {
        counted: Arc::new(Counted::new(service.name)),
        service,
        side: Side::Inner,
        is_seen: true,
        body_limit,
        limits,
        mark: None,
    })
}

/// The layers of a door: see [`standard`].
#[derive(Clone)]
#[must_use = "the layers do nothing until they are put around routes"]
pub struct Standard(Observer);

impl Standard {
    /// For a public door: the content of a request is limited and cleaned first ([`intake`](super::intake)), so that it
    /// fits through every hop behind and cannot make a service behind look faulty.
    pub fn outer(self) -> Self {
        let side = Side::Outer;
        Self(Observer { side, ..self.0 })
    }

    /// For what people watch with, which is not part of what they watch: its requests are no hops.
    pub fn unseen(self) -> Self {
        let is_seen = false;
        Self(Observer { is_seen, ..self.0 })
    }

    /// With something in the head of every answer, also of those that no route gives: refusals of any of these layers, and of
    /// layers between them and the routes.
    pub fn marking(self, mark: Mark) -> Self {
        let mark = Some(mark);
        Self(Observer { mark, ..self.0 })
    }

    /// The routes within these layers.
    pub fn around(self, routes: Router) -> Router {
        // One pointer: axum copies what its layers hold several times for each request.
        let observer = Arc::new(self.0);
        routes
            // axum's own limit of 2 MB would apply first and answer in plain text.
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn(move |request: Request, next: Next| {
                observe(Arc::clone(&observer), request, next)
            }))
    }
}
