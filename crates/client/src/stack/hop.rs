//! The span of an attempt, for readers of hops and for exported traces.
//!
//! Its target is `hop`: it is disabled where it is made, at the cost of an atomic load, unless somebody wants it
//! (`chassis::hops`). The names of its fields are OpenTelemetry's; `attempt`, `fault.injected` and `breaker.state` have none there.

use http::{Request, Response};
use resilience::circuit_breaker::State;
use tonic::Code;
use tracing::Span;
use tracing::field::Empty;

use super::{Shared, Wire};
use crate::body::RequestBody;
use crate::failure::{AttemptError, Failure};
use crate::trace;

/// The most bytes of a path in the name of a span.
const PATH_BYTES_MAX: usize = 120;

/// The span of the `attempt`-th attempt. If there is one, the peer's work becomes its child.
pub(super) fn begin(
    shared: &Shared,
    wire: Wire,
    request: &mut Request<RequestBody>,
    attempt: u32,
) -> Span {
    let span = make(shared, wire, request, attempt);
    if !span.is_disabled() {
        span.in_scope(|| trace::inject(request.headers_mut()));
    }
    span
}

/// A call that ended before there was an attempt: a hop that ends at once. `why` is `refused` if the breaker did it, and
/// `no_place` if the bulkhead was full, which says nothing about the peer's answers.
pub(super) fn refused(
    shared: &Shared,
    wire: Wire,
    request: &Request<RequestBody>,
    why: &'static str,
) {
    let span = make(shared, wire, request, 1);
    span.record("error.type", why);
    let _entered = span.enter();
}

fn make(shared: &Shared, wire: Wire, request: &Request<RequestBody>, attempt: u32) -> Span {
    let is_http = matches!(wire, Wire::Http);
    tracing::info_span!(
        target: "hop",
        "call",
        otel.name = %Name { wire, request },
        otel.kind = "client",
        peer.service = shared.peer.name,
        server.address = shared.peer.address.authority().host(),
        server.port = shared.peer.address.authority().port_u16().map(i64::from),
        http.request.method = is_http.then(|| request.method().as_str()),
        rpc.system = (!is_http).then_some("grpc"),
        rpc.service = rpc(wire, request).map(|(service, _)| service),
        rpc.method = rpc(wire, request).map(|(_, method)| method),
        attempt,
        breaker.state = state(shared.breaker.state()),
        http.response.status_code = Empty,
        rpc.grpc.status_code = Empty,
        fault.injected = Empty,
        error.type = Empty,
        otel.status_code = Empty,
    )
}

/// Service and method of a gRPC call.
fn rpc(wire: Wire, request: &Request<RequestBody>) -> Option<(&str, &str)> {
    match wire {
        Wire::Http => None,
        Wire::Grpc => request.uri().path().strip_prefix('/')?.split_once('/'),
    }
}

/// Records how the attempt ended.
pub(super) fn end<T>(span: &Span, wire: Wire, result: Result<&Response<T>, &AttemptError>) {
    if span.is_disabled() {
        return;
    }
    match result {
        Ok(answer) => {
            let is_error = match wire {
                Wire::Http => {
                    // A number that is signed is exported as one; any other as text.
                    let status = i64::from(answer.status().as_u16());
                    span.record("http.response.status_code", status);
                    answer.status().is_server_error()
                }
                // A call that succeeds has its status in the trailers, behind the message.
                Wire::Grpc => {
                    let code = tonic::Status::from_header_map(answer.headers());
                    let code = code.map_or(Code::Ok, |status| status.code());
                    span.record("rpc.grpc.status_code", code as i32);
                    // Behind a proxy that speaks no gRPC, the status is HTTP's.
                    is_servers(code) || answer.status().is_server_error()
                }
            };
            if is_error {
                span.record("otel.status_code", "ERROR");
            }
        }
        Err(error) => {
            span.record("error.type", kind(error));
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// Whether a code means an error of the server, as OpenTelemetry has it. A refusal is none, like a 4xx.
fn is_servers(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn kind(error: &AttemptError) -> &'static str {
    match error {
        AttemptError::TimedOut(_) | AttemptError::Failed(Failure::Late) => "timeout",
        AttemptError::Stalled(_) => "cancelled",
        AttemptError::NoEndpoints => "no_endpoints",
        AttemptError::Failed(Failure::Refused(_)) => "connection_refused",
        AttemptError::Failed(_) => "connection_broken",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Open | State::ForcedOpen => "open",
        State::HalfOpen => "half_open",
        State::Closed | State::ForcedClosed => "closed",
    }
}

/// Method and path without what identifies things: a segment that is more than a word is `{id}`, and there is no query.
struct Name<'a> {
    wire: Wire,
    request: &'a Request<RequestBody>,
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.request.uri().path();
        if let Wire::Grpc = self.wire {
            return f.write_str(path.strip_prefix('/').unwrap_or(path));
        }
        write!(f, "{} ", self.request.method())?;
        let mut written = 0;
        for segment in path.split('/').skip(1) {
            let segment = if is_word(segment) { segment } else { "{id}" };
            written += segment.len() + 1;
            if written > PATH_BYTES_MAX {
                return f.write_str("/…");
            }
            write!(f, "/{segment}")?;
        }
        Ok(())
    }
}

/// Letters with hyphens, or a version such as `v1`.
fn is_word(segment: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'.');
    let version = segment.strip_prefix('v').unwrap_or_default();
    let is_version =
        (1..=2).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_digit());
    is_version || (segment.len() <= 24 && segment.bytes().all(is_plain))
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::field::Field;
    use tracing::span::{Id, Record};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt as _};

    use super::*;

    /// What is recorded in spans, each as `name=value`.
    struct Recorded(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Recorded {
        fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
            let mut recorded = self.0.lock();
            values.record(&mut |field: &Field, value: &dyn Debug| {
                recorded.push(format!("{}={value:?}", field.name()));
            });
        }
    }

    #[test]
    fn an_error_of_the_server_is_one_of_the_call() {
        let http = |status: u16| Response::builder().status(status).body(()).unwrap();
        let grpc = |code| tonic::Status::new(code, "").into_http::<()>();
        for (wire, answer, is_error) in [
            (Wire::Http, http(503), true),
            (Wire::Http, http(404), false),
            (Wire::Grpc, grpc(Code::Unavailable), true),
            (Wire::Grpc, grpc(Code::Internal), true),
            (Wire::Grpc, http(503), true),
            (Wire::Grpc, grpc(Code::NotFound), false),
            (Wire::Grpc, http(200), false),
        ] {
            let recorded = Arc::new(Mutex::new(Vec::new()));
            let layer = Recorded(Arc::clone(&recorded));
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                let span = tracing::info_span!(
                    "call",
                    http.response.status_code = Empty,
                    rpc.grpc.status_code = Empty,
                    otel.status_code = Empty,
                );
                end(&span, wire, Ok(&answer));
            });
            let error = "otel.status_code=\"ERROR\"";
            let has_error = recorded.lock().iter().any(|it| it == error);
            assert_eq!(has_error, is_error, "{wire:?} {answer:?}");
        }
    }

    #[test]
    fn a_name_has_no_ids_and_no_query() {
        let name = |wire, path: &str| {
            let request = Request::get(path).body(RequestBody::whole("")).unwrap();
            Name {
                wire,
                request: &request,
            }
            .to_string()
        };
        for (path, expected) in [
            ("/v1/orders?page_token=secret", "GET /v1/orders"),
            (
                "/v1/orders/0190163d-8694-739b-aea5-966c26f8ad91/events",
                "GET /v1/orders/{id}/events",
            ),
            (
                "/v1/orders/verysecretverysecretverysecret",
                "GET /v1/orders/{id}",
            ),
            ("/", "GET /"),
        ] {
            assert_eq!(name(Wire::Http, path), expected);
        }
        assert_eq!(
            name(Wire::Grpc, "/a.b.v1.Service/Method"),
            "a.b.v1.Service/Method"
        );
    }
}
