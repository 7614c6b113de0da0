//! The standard layer around one HTTP request: see [`super::standard`].

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body::Body as _;
use resilience::deadline::{TIMEOUT_HEADER, wire};
use tracing::{Instrument, Span};

use super::counted::Counted;
use super::intake::{Side, instance};
use super::{body_limit, form};
use crate::arrival::{Arrived, Kind};
use crate::limits::{Limits, Refusal};
use crate::problem::{CONTENT_TYPE, Problem};
use crate::{ServiceInfo, hops, sidecar, trace};

/// The route label of paths that no route matches. The path itself is not used, since clients could fill the memory of
/// the metrics with paths.
const UNMATCHED: &str = "unmatched";

/// Adds to the head of an answer, given what was asked for.
pub type Mark = Arc<dyn Fn(&Uri, &mut HeaderMap) + Send + Sync>;

/// The settings of the door that [`observe`] runs in.
#[derive(Clone)]
pub(super) struct Observer {
    pub(super) service: ServiceInfo,
    pub(super) side: Side,
    /// Whether requests are hops.
    pub(super) is_seen: bool,
    pub(super) body_limit: usize,
    pub(super) limits: Limits,
    pub(super) counted: Arc<Counted>,
    /// What every answer has in its head.
    pub(super) mark: Option<Mark>,
}

impl Observer {
    /// Whether requests from the loopback come through the service's sidecar. Those to a public door do not.
    fn is_meshed(&self) -> bool {
        self.service.has_sidecar && self.side == Side::Inner
    }

    /// Tells which service calls, if that is known. What said so is removed in any case.
    fn tell_caller(&self, span: &Span, request: &mut Request) {
        if let Some(caller) = sidecar::take_caller(request, self.is_meshed()) {
            span.record("caller", caller);
        }
    }
}

pub(super) async fn observe(observer: Arc<Observer>, mut request: Request, next: Next) -> Response {
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route_text = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let span = span(&observer, method, route_text);
    let refused = observer.side.clean(&mut request);
    observer.tell_caller(&span, &mut request);
    trace::set_parent_from(&span, |name| header_text(request.headers(), name));
    hops::with(&span, |hop| hop.headers(request.headers()));
    // Shares the bytes of the request's head. Only a problem needs the text that it makes of it.
    let uri = request.uri().clone();
    let mut timer = observer.counted.begin(method, route_text);

    let (request, watch) = body_limit::limit(request, observer.body_limit);
    let work = async {
        let answered = match (refused, request) {
            (Some(problem), _) => Ok(problem.into_response()),
            (None, Some(request)) => run(&observer, request, next).await,
            (None, None) => Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
        };
        let mut response = match answered {
            Ok(response) => response,
            // Nothing is drained: a body that did not arrive in time will not arrive now either.
            Err(Stalled) => return complete(stalled(), &observer.service, &uri),
        };
        let unread = response.extensions_mut().remove::<BodyUnread>().is_some();
        let exceeded = watch.exceeded().filter(|_| !unread);
        if let Some(limit) = exceeded.filter(|_| is_error(response.status())) {
            // The handler failed because the body exceeded the limit, whatever error it made of that.
            response = Problem::payload_too_large(limit).into_response();
        }
        watch.drain();
        complete(response, &observer.service, &uri)
    };
    let mut response = work.instrument(span.clone()).await;
    // Inside, who called knows the trace: it has sent it.
    if observer.side == Side::Outer
        && let Some(value) = trace::response(&span)
    {
        response.headers_mut().insert(&trace::TRACERESPONSE, value);
    }
    if let Some(mark) = &observer.mark {
        mark(&uri, response.headers_mut());
    }

    timer.answered(response.status());
    tell(&span, response.status());
    response
}

fn tell(span: &Span, status: StatusCode) {
    // A number that is signed is exported as one; any other as text.
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    // Requests are counted in metrics; the log line for each is only for debugging (`RUST_LOG=chassis=debug`).
    tracing::debug!(parent: span, status = status.as_u16(), "answered");
}

/// The span of a request, without a parent: the caller's is set when its headers were cleaned.
fn span(observer: &Observer, method: &'static str, route: &str) -> Span {
    tracing::info_span!(
        parent: None,
        "http",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = observer.is_seen.then_some("server"),
        service = observer.service.name,
        trace_id = tracing::field::Empty,
        caller = tracing::field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    )
}

/// An extension of a response: the answer was given without reading the body, so that no error in the body is its
/// reason.
#[derive(Clone, Copy)]
struct BodyUnread;

/// The sender of a request has stopped sending.
struct Stalled;

async fn run(observer: &Observer, request: Request, next: Next) -> Result<Response, Stalled> {
    if let Some(problem) = form::refuse(&request) {
        return Ok(problem.into_response());
    }
    let asked = request.headers().get(TIMEOUT_HEADER);
    let mut asked = asked.and_then(wire::parse_http_timeout);
    let mut limits = Cow::Borrowed(&observer.limits);
    let (mut conversation, mut broken) = (None, None);
    let request = if request.body().is_end_stream() {
        request
    } else {
        let begun = tokio::time::Instant::now();
        let (mut head, body) = request.into_parts();
        let arrival = limits
            .arrivals
            .arrive(body, &mut head.extensions, Kind::Open);
        let body = match arrival.await {
            Ok(Arrived::Whole(body)) => body,
            Ok(Arrived::Broken(body, read)) => {
                broken = Some(read);
                body
            }
            Ok(Arrived::Conversation(body, seat)) => {
                // Conversations are limited separately and mostly wait for their senders, so they take none of the
                // other places.
                limits = Cow::Owned(limits.into_owned().exempt(true));
                conversation = Some(seat);
                body
            }
            Err(absent) => return refuse(absent.into()),
        };
        // The caller's timeout started with its request, ours starts once the whole request is there.
        asked = asked.map(|asked| asked.saturating_sub(begun.elapsed()));
        Request::from_parts(head, body)
    };
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind();
    let ran = limits.run(observer.service.name, asked, caught).await;
    let mut response = answered(ran)?;
    if broken.is_some_and(|read| !read.load(Ordering::Relaxed)) {
        response.extensions_mut().insert(BodyUnread);
    }
    // The handler failed because the sender stopped, whatever error it made of that.
    match conversation {
        Some(seat) if seat.has_ended() && is_error(response.status()) => Err(Stalled),
        _ => Ok(response),
    }
}

/// The answer of the handler, or of the door for one that panicked or did not run to its end.
fn answered(ran: Result<std::thread::Result<Response>, Refusal>) -> Result<Response, Stalled> {
    match ran {
        Ok(Ok(response)) => Ok(response),
        // The panic hook has logged the panic, since it knows the location.
        Ok(Err(_)) => Ok(Problem::from_status(StatusCode::INTERNAL_SERVER_ERROR).into_response()),
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(refusal: Refusal) -> Result<Response, Stalled> {
    match refusal {
        Refusal::Late => Ok(Problem::deadline_exceeded().into_response()),
        Refusal::Overloaded(when) => Ok(Problem::overloaded(when.retry_after).into_response()),
        Refusal::Stalled => Err(Stalled),
    }
}

/// 408. The rest of the request cannot be told apart from the next one, so the connection is closed.
fn stalled() -> Response {
    let mut response = Problem::from_status(StatusCode::REQUEST_TIMEOUT).into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Writes problem documents with the fields that only the door knows, and turns bare errors into problem documents.
fn complete(mut response: Response, service: &ServiceInfo, uri: &Uri) -> Response {
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if is_bare_error(&response) => Problem::from_status(response.status()),
        None => return response,
    };
    let trace_id = trace::current_trace_id();
    let instance = instance(uri);
    let document = problem.document(service.problem_types, Some(&instance), trace_id.as_deref());
    let (mut parts, _) = response.into_parts();
    // Headers that the response already has (405's Allow) are kept.
    for (name, value) in problem.into_response().headers() {
        parts.headers.entry(name).or_insert_with(|| value.clone());
    }
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(document))
}

/// axum answers 404 and 405 with only the status, and any handler may do so.
fn is_bare_error(response: &Response) -> bool {
    is_error(response.status())
        && response.body().size_hint().exact() == Some(0)
        && !response.headers().contains_key(header::CONTENT_TYPE)
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}

/// Callers can make up methods, so that unknown ones must not become labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
