//! Policies for HTTP, including gRPC.

use http::{HeaderName, HeaderValue, Request, Response};

use crate::classify::{Classify, HttpAnswers, Outcome};

mod asked;
mod grpc;
mod rest;

pub use grpc::GrpcPolicy;
pub use rest::HttpPolicy;

/// The number of attempts before this one; absent on the first. It is gRPC's header (see its [retry
/// design](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)), and is used for plain HTTP as well,
/// which has none: the callee can measure how much of its load is retries.
pub const PREVIOUS_ATTEMPTS_HEADER: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");

/// What an error says about the delivery of the request. The error types of HTTP clients differ, so that the user of a
/// policy classifies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The server has not seen the request (connection refused) or guarantees that it has not processed it
    /// (`REFUSED_STREAM`): any request can be sent again.
    Unsent,
    /// The request may have been seen and even processed (connection reset, no answer in time): only a request that is
    /// safe to repeat can be sent again.
    Broken,
    /// Another attempt would fail in the same way (circuit open, deadline passed, error in the caller's body).
    Final,
}

/// Copies a body that is [`Clone`]: for the policies' `copy`. A body of `Bytes` is shared rather than copied.
pub fn clone_body<B: Clone>(body: &B) -> Option<B> {
    Some(body.clone())
}

fn copy_request<B>(
    request: &Request<B>,
    copy_body: impl FnOnce(&B) -> Option<B>,
) -> Option<Request<B>> {
    let mut copy = Request::new(copy_body(request.body())?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

/// Whether the server did what it was asked for, or said why the caller is wrong.
fn is_success<T>(answer: &Response<T>) -> bool {
    HttpAnswers.classify(Ok::<_, &()>(answer)) == Outcome::Success
}

fn mark_request<B>(request: &mut Request<B>, previous: u32) {
    let previous = HeaderValue::from(previous);
    request
        .headers_mut()
        .insert(PREVIOUS_ATTEMPTS_HEADER, previous);
}

#[cfg(test)]
mod tests;
