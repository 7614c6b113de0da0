//! Whether a request is a gRPC call at all.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::problem::Problem;

/// What every call says; `+proto` or parameters may follow.
const GRPC: &str = "application/grpc";

/// The refusal of what is none, in plain HTTP, as gRPC's own specification asks for: whoever comes with another content
/// type would not find a status in trailers.
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
