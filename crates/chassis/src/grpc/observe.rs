//! The standard layer around one gRPC call: trace, metrics, limits, panics.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response};
use futures::FutureExt;
use http_body::{Frame, SizeHint};
use resilience::deadline::{GRPC_TIMEOUT_HEADER, wire};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use super::Methods;
use super::form;
use super::status::overloaded;
use crate::arrival::{Arrived, Kind};
use crate::limits::{Limits, Refusal};
use crate::{BoxError, ServiceInfo, hops, sidecar, trace};

/// The prefix of the health service's methods.
const HEALTH: &str = "grpc.health.v1.Health/";

/// The prefix of the methods of reflection.
const REFLECTION: &str = "grpc.reflection.";

/// Methods whose clients send while they are answered. Any other call starts once its message has arrived completely;
/// one of these starts at once, so that its handler must not wait for a message before it answers.
const CLIENT_STREAMS: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection/",
    "grpc.reflection.v1alpha.ServerReflection/",
];

/// The layer that every gRPC server has, outermost:
///
/// 1. **trace**: the `traceparent` of the metadata becomes the parent of a span, which names the calling service where a sidecar
///    knows it ([`crate::sidecar`]);
/// 2. **metrics**: `grpc_requests_total` by method and code, `grpc_request_duration_seconds` by
///    method, until the last message was taken (a stream that its client leaves is `Cancelled`).
///    Paths that are not among `methods` are labelled `unknown`, whatever the answer;
/// 3. **form**: a request that is not a gRPC call (another content type, another method than `POST`) is refused in plain
///    HTTP;
/// 4. **deadline**: the caller's `grpc-timeout`, but at most [`Limits::timeout`]; a call that has not begun to answer by
///    then is dropped and ends with `DEADLINE_EXCEEDED`. Its handler, and the calls that it makes, see the remaining time.
///    A stream that has begun may go on for as long as its client reads;
/// 5. **arrival**: no work starts before the call's message has arrived completely; if it does not arrive in time, the
///    call ends with `CANCELLED` ([`crate::arrival`]);
/// 6. **load**: calls beyond [`Limits::load`] are refused with `RESOURCE_EXHAUSTED` and a `RetryInfo`, before any work is
///    done for them. Health checks are exempt: a busy server that fails them would be taken out of rotation and leave its
///    load to the others;
/// 7. **panics** become `INTERNAL` without detail.
pub fn standard(
    service: impl Into<ServiceInfo>,
    methods: Methods,
    limits: Limits,
) -> StandardLayer {
    StandardLayer {
        service: service.into(),
        methods,
        limits,
    }
}

/// See [`standard`].
#[derive(Clone, Debug)]
pub struct StandardLayer {
    service: ServiceInfo,
    methods: Methods,
    limits: Limits,
}

impl<S> Layer<S> for StandardLayer {
    type Service = StandardService<S>;

    fn layer(&self, inner: S) -> StandardService<S> {
        StandardService {
            inner,
            service: self.service,
            methods: self.methods.clone(),
            limits: self.limits.clone(),
        }
    }
}

/// The service that [`StandardLayer`] creates.
#[derive(Clone, Debug)]
pub struct StandardService<S> {
    inner: S,
    service: ServiceInfo,
    methods: Methods,
    limits: Limits,
}

impl<S, R> Service<Request<Body>> for StandardService<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let method = self.methods.label(request.uri().path());
        let limits = self.limits.clone().exempt(method.starts_with(HEALTH));
        let caller = sidecar::take_caller(&mut request, self.service.has_sidecar);
        let span = span(
            self.service.name,
            &method,
            caller.as_deref(),
            request.headers(),
        );
        let timer = Timer::begin(self.service.name, method, &span);
        let unformed = form::refuse(&request, self.service.problem_types);
        // tonic's own server would enforce the deadline, but here the server is the one that serves HTTP, too.
        let asked = request.headers().get(GRPC_TIMEOUT_HEADER);
        let mut asked = asked.and_then(wire::parse_grpc_timeout);
        let streams = has_client_stream(&timer.method);
        let service = self.service.name;
        let work = async move {
            if let Some(unformed) = unformed {
                timer.finish(Code::InvalidArgument);
                return Ok(unformed);
            }
            let begun = tokio::time::Instant::now();
            if !streams {
                match arrive(&limits, request).await {
                    Ok(whole) => request = whole,
                    Err(refusal) => {
                        let status = refused(refusal);
                        timer.finish(status.code());
                        return Ok(status.into_http());
                    }
                }
                // The caller's timeout started with its call, ours starts once the whole message is there.
                asked = asked.map(|asked| asked.saturating_sub(begun.elapsed()));
            }
            // The inner `call` runs inside of the future, since services may do work before they return theirs.
            let called = AssertUnwindSafe(async { inner.call(request).await }).catch_unwind();
            let response = match limits.run(service, asked, called).await {
                Ok(Ok(response)) => response?.map(Body::new),
                // The panic hook has logged it.
                Ok(Err(_)) => Status::internal("something went wrong on our side").into_http(),
                Err(refusal) => refused(refusal).into_http(),
            };
            Ok(timed(response, timer))
        };
        Box::pin(work.instrument(span))
    }
}

/// Whether the client of a method goes on while it is answered.
fn has_client_stream(method: &str) -> bool {
    CLIENT_STREAMS
        .iter()
        .any(|service| method.starts_with(service))
}

/// The answer, which finishes the timer with its status. A refusal has it in the headers, any other answer in the trailers.
fn timed(response: Response<Body>, timer: Timer) -> Response<Body> {
    match status_of(response.headers()) {
        Some(code) => {
            timer.finish(code);
            response
        }
        None => response.map(|inner| Body::new(Watched { inner, timer })),
    }
}

/// The span of a call, within the caller's trace.
fn span(service: &'static str, method: &str, caller: Option<&str>, headers: &HeaderMap) -> Span {
    // What probes and tools ask is no part of what happens.
    let is_seen = !method.starts_with(HEALTH) && !method.starts_with(REFLECTION);
    // None of a path that is unknown.
    let named = method.split_once('/');
    let span = tracing::info_span!(
        parent: None,
        "grpc",
        otel.name = method,
        otel.kind = is_seen.then_some("server"),
        service,
        trace_id = tracing::field::Empty,
        caller,
        rpc.system = "grpc",
        rpc.service = named.map(|(service, _)| service),
        rpc.method = named.map(|(_, method)| method),
        rpc.grpc.status_code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    );
    trace::set_parent_from(&span, |name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    });
    hops::with(&span, |hop| hop.headers(headers));
    span
}

/// Waits for the call's whole message. Returns the call with it.
async fn arrive(limits: &Limits, request: Request<Body>) -> Result<Request<Body>, Refusal> {
    let (mut head, body) = request.into_parts();
    let arrival = limits
        .arrivals
        .arrive(body, &mut head.extensions, Kind::Message);
    match arrival.await? {
        Arrived::Whole(body) | Arrived::Broken(body, _) | Arrived::Conversation(body, _) => {
            Ok(Request::from_parts(head, body))
        }
    }
}

fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Late => Status::deadline_exceeded("the call was not finished in time"),
        Refusal::Overloaded(when) => overloaded(when.retry_after),
        Refusal::Stalled => Status::cancelled("the call's message did not arrive in time"),
    }
}

fn status_of(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

/// A response body whose status is taken from its trailers.
struct Watched {
    inner: Body,
    timer: Timer,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let span = self.timer.span.clone();
        // Work that a stream does while it is polled belongs to the call's span.
        let _entered = span.enter();
        let polled = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(status_of) {
                    self.timer.code = code;
                }
            }
            Some(Err(_)) => self.timer.code = Code::Internal,
            None => {}
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Records the call when it is dropped, so that abandoned calls are counted, too.
struct Timer {
    service: &'static str,
    method: Arc<str>,
    code: Code,
    started: Instant,
    span: Span,
}

impl Timer {
    fn begin(service: &'static str, method: Arc<str>, span: &Span) -> Self {
        Self {
            service,
            method,
            code: Code::Cancelled,
            started: Instant::now(),
            span: span.clone(),
        }
    }

    fn finish(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.span.record("rpc.grpc.status_code", self.code as i32);
        if matches!(
            self.code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ) {
            self.span.record("otel.status_code", "ERROR");
        }
        tracing::debug!(parent: &self.span, code = ?self.code, "answered");
        let method = Arc::clone(&self.method);
        metrics::histogram!("grpc_request_duration_seconds", "service" => self.service, "method" => method.clone())
            .record(self.started.elapsed().as_secs_f64());
        metrics::counter!(
            "grpc_requests_total",
            "service" => self.service, "method" => method, "code" => format!("{:?}", self.code)
        )
        .increment(1);
    }
}
