//! Whether a request is a gRPC call.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::problem::Problem;

/// The content type of every call; `+proto` or parameters may follow.
const GRPC: &str = "application/grpc";

/// Refuses a request that is not a gRPC call, with a plain HTTP status as gRPC's specification requires: a client with
/// another content type does not look for a status in trailers. Returns `None` for a gRPC call.
pub(super) fn refuse<B>(request: &Request<B>, problem_types: &str) -> Option<Response<Body>> {
    let problem = if request.method() != Method::POST {
        Problem::from_status(StatusCode::METHOD_NOT_ALLOWED)
            .with_header(header::ALLOW, HeaderValue::from_static("POST"))
    } else if !is_grpc(request.headers().get(header::CONTENT_TYPE)) {
        Problem::unsupported_media_type()
            .with_detail("send application/grpc")
            .with_header(header::ACCEPT, HeaderValue::from_static(GRPC))
    } else {
        return None;
    };
    Some(problem.respond(problem_types, None))
}

fn is_grpc(content_type: Option<&HeaderValue>) -> bool {
    content_type
        .and_then(|value| value.as_bytes().strip_prefix(GRPC.as_bytes()))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}
