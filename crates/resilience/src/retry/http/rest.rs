//! The policy for plain HTTP.

use http::{Request, Response, StatusCode};

use super::{Failed, asked, copy_request, is_success, mark_request};
use crate::classify::grpc_status;
use crate::retry::{Policy, Verdict};

/// Retries HTTP requests that are safe to repeat: the idempotent methods (`GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT`,
/// `DELETE`) and any request with an `Idempotency-Key`.
///
/// Retried are 502, 503, 504 and gRPC's `UNAVAILABLE` in the head, 429 if it has a retry delay, and the errors that
/// `errors` classifies as [`Failed::Unsent`] (any request) or [`Failed::Broken`]. `Retry-After` is honoured.
///
/// 500 is not retried: it is a bug of the server, and usually still there a moment later.
#[derive(Debug, Clone, Copy)]
pub struct HttpPolicy<F, C> {
    errors: F,
    copy_body: C,
}

impl<F, C> HttpPolicy<F, C> {
    /// `errors` is `Fn(&E) -> Failed`; `copy_body` is `Fn(&B) -> Option<B>`: [`clone_body`](super::clone_body) if
    /// bodies are `Clone`, and for streams (a proxy's) a function that returns an empty body for a body that has ended,
    /// e.g. `|body| body.is_end_stream().then(Body::empty)`, since a partly read stream cannot be sent twice.
    pub fn new(errors: F, copy_body: C) -> Self {
        Self { errors, copy_body }
    }
}

impl<B, T, E, F, C> Policy<Request<B>, Response<T>, E> for HttpPolicy<F, C>
where
    F: Fn(&E) -> Failed,
    C: Fn(&B) -> Option<B>,
{
    /// Also copies a `POST` without a key, which can be sent again if the connection was refused.
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        copy_request(request, &self.copy_body)
    }

    fn judge(&self, request: &Request<B>, result: Result<&Response<T>, &E>) -> Verdict {
        match result {
            Ok(answer) if is_repeatable(request) => judge_answer(answer),
            Ok(_) => Verdict::Final,
            Err(error) => match (self.errors)(error) {
                Failed::Unsent => Verdict::Retry { after: None },
                Failed::Broken if is_repeatable(request) => Verdict::Retry { after: None },
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

/// Whether the request has the same effect when it is processed twice.
fn is_repeatable<B>(request: &Request<B>) -> bool {
    request.method().is_idempotent()
        || request
            .headers()
            .get("idempotency-key")
            .is_some_and(|key| !key.is_empty())
}

fn judge_answer<B>(answer: &Response<B>) -> Verdict {
    let asked = asked::retry_after(answer.headers());
    match answer.status() {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            asked.verdict()
        }
        // Without a retry delay, more requests would be the wrong answer to a rate limit.
        StatusCode::TOO_MANY_REQUESTS if asked.is_some() => asked.verdict(),
        _ if grpc_status(answer) == Some(asked::UNAVAILABLE) => asked.verdict(),
        _ => Verdict::Final,
    }
}
