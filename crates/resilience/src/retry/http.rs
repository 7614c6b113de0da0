//! What may be tried again over HTTP, gRPC included.

use http::{HeaderName, HeaderValue, Request};

mod asked;
mod grpc;
mod rest;

pub use grpc::GrpcPolicy;
pub use rest::HttpPolicy;

/// How many attempts came before this one; absent on the first. gRPC's header (see its
/// [retry design](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)), and used for plain HTTP as well,
/// which has none: the callee can count how much of its load is retries.
pub const PREVIOUS_ATTEMPTS_HEADER: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");

/// What an error says about the request's way. The error types of HTTP clients differ, so the caller of a policy
/// sorts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The server has not seen the request (connection refused) or promises that it did nothing with it
    /// (`REFUSED_STREAM`): any request can be sent again.
    Unsent,
    /// It may have been seen and even done (connection reset, no answer in time): only a request that can be done
    /// twice can be sent again.
    Broken,
    /// Another attempt would fail the same way (circuit open, deadline over, the caller's body broke).
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

fn mark_request<B>(request: &mut Request<B>, previous: u32) {
    let previous = HeaderValue::from(previous);
    request
        .headers_mut()
        .insert(PREVIOUS_ATTEMPTS_HEADER, previous);
}

#[cfg(test)]
mod tests;
