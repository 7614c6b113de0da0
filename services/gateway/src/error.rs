//! The answers to clients when a service behind the gateway fails.

mod quota;

use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::problem::{FieldError, Problem};
use client::CallError;
use contracts::identity::PROBLEM_TYPES;
use contracts::problems;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The retry delay, if the service behind does not give one.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The detail of the problem when the request's body ended too early.
pub(crate) const BROKEN_OFF: &str = "the body ended before it was complete";

/// Log lines per minute about answers that cannot be decoded. Breakers do not count them, so nothing else reports them. A peer
/// of another version causes one for every request, which must not flood the log.
const UNREADABLE_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN;

static UNREADABLE: LazyLock<DefaultDirectRateLimiter> =
    LazyLock::new(|| RateLimiter::direct(Quota::per_minute(UNREADABLE_PER_MINUTE)));

/// Logs one failed call. An outage is reported once, by the peer's breaker when it opens; the metrics count the calls, and
/// the admin port shows the last errors of each peer.
pub(crate) fn log_failure(peer: &str, detail: &str) {
    tracing::debug!(peer, detail, "a call to a service behind failed");
}

fn log_unreadable(peer: &str, detail: &str) {
    if UNREADABLE.check().is_ok() {
        tracing::warn!(
            peer,
            detail,
            "the answer of a service behind cannot be decoded"
        );
    }
}

/// Why a request failed. The client gets a problem document with fewer details than the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The gateway itself refuses the request.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// A call to a service behind failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(problem) => problem,
            Error::Call(error) => from_call(error),
        }
    }
}

/// Converts a failed call to a problem. Errors of the request are passed on; errors of the service behind are logged, and
/// the client gets no details.
pub(crate) fn from_call(error: CallError) -> Problem {
    from_call_to("users", error)
}

/// The same for a call to this peer. A gRPC status does not contain the name of the peer.
pub(crate) fn from_call_to(grpc_peer: &str, error: CallError) -> Problem {
    match error {
        CallError::Unavailable { peer, detail } => {
            log_failure(&peer, &detail);
            Problem::unavailable(RETRY_AFTER, format!("{peer} is unavailable at the moment"))
        }
        CallError::Rejected {
            peer,
            detail,
            retry_after,
        } => {
            log_failure(&peer, &detail);
            Problem::unavailable(retry_after, format!("{peer} is unavailable at the moment"))
        }
        CallError::Timeout { peer } => {
            log_failure(&peer, "no answer in time");
            Problem::gateway_timeout().with_detail(format!("{peer} did not answer in time"))
        }
        CallError::Aborted { .. } => Problem::bad_request(BROKEN_OFF),
        CallError::Stalled { .. } => Problem::from_status(StatusCode::REQUEST_TIMEOUT),
        CallError::Unsendable { peer, detail } => {
            tracing::debug!(peer, detail, "a request cannot be passed on");
            Problem::bad_request("the request cannot be passed on to the service behind")
        }
        CallError::Problem(problem) => from_problem(*problem),
        CallError::Status(status) => from_status(grpc_peer, &status),
        CallError::Decode { peer, detail } => {
            log_unreadable(&peer, &detail);
            Problem::from_status(StatusCode::BAD_GATEWAY)
        }
    }
}

fn from_problem(problem: client::ProblemBody) -> Problem {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut passed = match status {
        StatusCode::UNPROCESSABLE_ENTITY => {
            let field = |error: client::ProblemField| FieldError::new(error.pointer, error.detail);
            Problem::unprocessable(problem.errors.into_iter().map(field).collect())
        }
        status => Problem::from_status(status),
    };
    // A specific kind of problem, which says more than the status.
    let slug = problem.kind.strip_prefix(PROBLEM_TYPES).unwrap_or_default();
    if let Some(kind) = problems::find(slug).filter(|kind| kind.status == passed.status()) {
        passed = passed.with_kind(*kind);
    }
    if let Some(detail) = problem.detail {
        passed = passed.with_detail(detail);
    }
    match (problem.retry_after, status) {
        (Some(after), _) => passed.with_retry_after(after),
        (None, StatusCode::SERVICE_UNAVAILABLE) => passed.with_retry_after(RETRY_AFTER),
        _ => passed,
    }
}

/// The HTTP status for each gRPC code of a service behind.
///
/// | code | HTTP status | reason |
/// |---|---|---|
/// | `INVALID_ARGUMENT`, `OUT_OF_RANGE` | 422 with its field violations, 400 without | the request says what cannot be |
/// | `UNAUTHENTICATED` / `PERMISSION_DENIED` / `NOT_FOUND` | 401 / 403 / 404 | |
/// | `ALREADY_EXISTS`, `ABORTED`, `FAILED_PRECONDITION` | 409 | it conflicts with what is stored |
/// | `RESOURCE_EXHAUSTED` with a `QuotaFailure` | 429 | the caller has used up a budget of its own |
/// | `RESOURCE_EXHAUSTED`, `UNAVAILABLE`, `CANCELLED` | 503 | the service is overloaded, away, or broke the call off |
/// | `DEADLINE_EXCEEDED` | 504 | |
/// | `UNKNOWN`, `UNIMPLEMENTED` | 502 | who answers does not speak our protocol, or another version of it |
/// | `INTERNAL`, `DATA_LOSS` (and `OK`, which is no error) | 500 | it is broken, and has logged why |
fn from_status(peer: &str, status: &Status) -> Problem {
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange => invalid(status),
        Code::NotFound => Problem::not_found(),
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => {
            Problem::conflict(status.message())
        }
        Code::Unauthenticated => Problem::unauthorized(),
        Code::PermissionDenied => Problem::forbidden(),
        Code::ResourceExhausted => quota::problem(status).unwrap_or_else(|| away(status)),
        Code::Unavailable | Code::Cancelled => away(status),
        Code::DeadlineExceeded => Problem::gateway_timeout(),
        Code::Unknown | Code::Unimplemented => failed(peer, status, StatusCode::BAD_GATEWAY),
        Code::Ok | Code::Internal | Code::DataLoss => {
            failed(peer, status, StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn away(status: &Status) -> Problem {
    let detail = "a service behind is overloaded or unavailable";
    Problem::unavailable(retry_after(status), detail)
}

fn retry_after(status: &Status) -> Duration {
    let info = status.get_details_retry_info();
    info.and_then(|info| info.retry_delay)
        .unwrap_or(RETRY_AFTER)
}

/// A failure of the service: logged in detail, and answered without.
fn failed(peer: &str, status: &Status, outside: StatusCode) -> Problem {
    log_failure(peer, &format!("{:?}: {}", status.code(), status.message()));
    Problem::from_status(outside)
}

/// The fields of a gRPC message have the same names as those of the JSON body that it was made from, so a violation of
/// `items.quantity` is at `/items/quantity`.
fn invalid(status: &Status) -> Problem {
    let Some(bad) = status.get_details_bad_request() else {
        return Problem::bad_request(status.message());
    };
    let pointer = |field: &str| format!("/{}", field.replace('.', "/"));
    let errors = bad
        .field_violations
        .iter()
        .map(|v| FieldError::new(pointer(&v.field), &v.description));
    Problem::unprocessable(errors.collect())
}

/// The same for a sign-in. An unknown email and a wrong password get the same answer, which does not reveal who is a customer.
pub(crate) fn from_sign_in(error: CallError) -> Problem {
    match error {
        CallError::Status(status) if status.code() == Code::Unauthenticated => {
            Problem::unauthorized().with_kind(problems::BAD_CREDENTIALS)
        }
        error => from_call(error),
    }
}

/// The same for a call whose message was made from query parameters: 400 that names them.
pub(crate) fn from_query(error: CallError) -> Problem {
    if let CallError::Status(status) = &error
        && let Some(bad) = status.get_details_bad_request()
    {
        let lines: Vec<_> = bad
            .field_violations
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect();
        return Problem::bad_request(lines.join("; "));
    }
    from_call(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> String {
        "users".to_owned()
    }

    /// Every way in which a call can fail before there is an answer that could be passed on.
    #[test]
    fn a_call_that_fails_is_a_problem_of_its_kind() {
        let detail = "secret".to_owned();
        let rejected = CallError::Rejected {
            peer: peer(),
            detail: detail.clone(),
            retry_after: Duration::from_secs(4),
        };
        let unavailable = CallError::Unavailable {
            peer: peer(),
            detail: detail.clone(),
        };
        let aborted = CallError::Aborted {
            peer: peer(),
            detail: detail.clone(),
        };
        let unsendable = CallError::Unsendable {
            peer: peer(),
            detail: detail.clone(),
        };
        let decode = CallError::Decode {
            peer: peer(),
            detail,
        };
        for (error, status) in [
            (rejected, 503),
            (unavailable, 503),
            (CallError::Timeout { peer: peer() }, 504),
            (CallError::Stalled { peer: peer() }, 408),
            (unsendable, 400),
            (aborted, 400),
            (decode, 502),
        ] {
            let text = error.to_string();
            let problem = from_call(error);
            assert_eq!(problem.status().as_u16(), status, "{text}");
            let said = problem.detail().unwrap_or_default();
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
