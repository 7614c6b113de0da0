//! The policy for gRPC.

use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};

use super::asked::{self, Asked};
use super::{Failed, copy_request, is_success, mark_request};
use crate::classify::grpc_status;
use crate::retry::{Policy, Verdict};

/// Retries gRPC calls of the methods that `repeatable` selects, at the level of HTTP/2. The HTTP method is `POST` for
/// all of them, and `UNAVAILABLE` does not guarantee that no work was done, so the caller has to know which are safe.
///
/// Retried are the status `UNAVAILABLE`, `RESOURCE_EXHAUSTED` if the server gives a retry delay, 502, 503 and 504 of an
/// intermediate proxy, and the errors that `errors` classifies as [`Failed::Unsent`] (any method) or
/// [`Failed::Broken`]. A server's `grpc-retry-pushback-ms` is honoured; a negative one forbids a retry.
///
/// Only a status in the head of the answer is seen ("trailers only"), where servers put errors; a call that fails after
/// messages have arrived is not repeated.
#[derive(Debug, Clone, Copy)]
pub struct GrpcPolicy<F, C, M> {
    errors: F,
    copy_body: C,
    repeatable: M,
    retry_info: fn(&HeaderMap) -> Option<Duration>,
}

impl<F, C, M> GrpcPolicy<F, C, M> {
    /// `errors` is `Fn(&E) -> Failed`; `copy_body` is `Fn(&B) -> Option<B>` (gRPC clients send streams: collect the
    /// message of a unary call into a body that is `Clone` first, and use [`clone_body`](super::clone_body));
    /// `repeatable` is `Fn(&str) -> bool` over the path, e.g. `/agora.users.v1.UserService/GetUser`.
    pub fn new(errors: F, copy_body: C, repeatable: M) -> Self {
        Self {
            errors,
            copy_body,
            repeatable,
            retry_info: |_| None,
        }
    }

    /// Sets the function that reads the delay of a `google.rpc.RetryInfo` from the head of an answer, where it is in
    /// `grpc-status-details-bin`. The caller provides it, since the format is protobuf, which this crate does not
    /// parse. If there are both, pushback takes precedence.
    #[must_use]
    pub fn with_retry_info(mut self, read: fn(&HeaderMap) -> Option<Duration>) -> Self {
        self.retry_info = read;
        self
    }

    fn judge_answer<T>(&self, answer: &Response<T>) -> Verdict {
        let asked = || match asked::pushback(answer.headers()) {
            Asked::Nothing => {
                (self.retry_info)(answer.headers()).map_or(Asked::Nothing, Asked::Wait)
            }
            asked => asked,
        };
        match (answer.status(), grpc_status(answer)) {
            (_, Some(asked::UNAVAILABLE)) => asked().verdict(),
            (_, Some(asked::RESOURCE_EXHAUSTED)) => match asked() {
                Asked::Nothing => Verdict::Final,
                asked => asked.verdict(),
            },
            (
                StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
                None,
            ) => asked::retry_after(answer.headers()).verdict(),
            _ => Verdict::Final,
        }
    }
}

impl<B, T, E, F, C, M> Policy<Request<B>, Response<T>, E> for GrpcPolicy<F, C, M>
where
    F: Fn(&E) -> Failed,
    C: Fn(&B) -> Option<B>,
    M: Fn(&str) -> bool,
{
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        copy_request(request, &self.copy_body)
    }

    fn judge(&self, request: &Request<B>, result: Result<&Response<T>, &E>) -> Verdict {
        let repeatable = || (self.repeatable)(request.uri().path());
        match result {
            Ok(answer) if repeatable() => self.judge_answer(answer),
            Ok(_) => Verdict::Final,
            Err(error) => match (self.errors)(error) {
                Failed::Unsent => Verdict::Retry { after: None },
                Failed::Broken if repeatable() => Verdict::Retry { after: None },
                Failed::Broken | Failed::Final => Verdict::Final,
            },
        }
    }

    fn is_success(&self, answer: &Response<T>) -> bool {
        is_success(answer)
    }

    fn mark(&self, request: &mut Request<B>, previous: u32) {
        mark_request(request, previous);
    }
}
