//! Problem documents of services behind, with the path that the client used, and in place of errors that are none.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chassis::http::intake::instance;
use chassis::problem::{CONTENT_TYPE, Problem};
use client::PooledBody;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};

use crate::error::{RETRY_AFTER, log_failure};

/// The longest problem document that is parsed, in bytes; ours have a few hundred.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// The answer to the client. `instance` of a problem becomes the path that the client `asked` for. The services behind do not
/// know that path: they would have to trust a header, which anybody could send.
pub(super) async fn pass(answer: http::Response<PooledBody>, peer: &str, asked: &Uri) -> Response {
    let is_problem =
        answer.headers().get(header::CONTENT_TYPE) == Some(&HeaderValue::from_static(CONTENT_TYPE));
    if !is_problem {
        let status = answer.status();
        return if status.is_client_error() || status.is_server_error() {
            in_place_of(status, answer.headers(), peer).into_response()
        } else {
            answer.map(Body::new)
        };
    }
    let (mut head, body) = answer.into_parts();
    match Limited::new(body, DOCUMENT_BYTES_MAX).collect().await {
        Ok(document) => {
            let document = document.to_bytes();
            head.headers.remove(header::CONTENT_LENGTH);
            let document =
                renamed(&document, &instance(asked)).unwrap_or_else(|| document.to_vec());
            Response::from_parts(head, Body::from(document))
        }
        Err(error) => {
            log_failure(peer, &error.to_string());
            let detail = format!("{peer} is unavailable at the moment");
            Problem::unavailable(RETRY_AFTER, detail).into_response()
        }
    }
}

/// The problem for an error of whoever else answers at a service's address: a sidecar, a balancer, an HTTP library. Clients are
/// promised a document for each error, and what strangers write into theirs may be about our insides.
fn in_place_of(status: StatusCode, headers: &HeaderMap, peer: &str) -> Problem {
    log_failure(peer, &format!("{status}, and no problem document"));
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            let detail = format!("{peer} is unavailable at the moment");
            Problem::unavailable(retry_after(headers), detail)
        }
        StatusCode::GATEWAY_TIMEOUT => {
            Problem::gateway_timeout().with_detail(format!("{peer} did not answer in time"))
        }
        status if status.is_server_error() => Problem::from_status(StatusCode::BAD_GATEWAY),
        StatusCode::TOO_MANY_REQUESTS => Problem::too_many_requests(retry_after(headers)),
        status => {
            let problem = Problem::from_status(status);
            // Without it a 405 does not say what is allowed (RFC 9110 section 15.5.6).
            match headers.get(header::ALLOW) {
                Some(allowed) => problem.with_header(header::ALLOW, allowed.clone()),
                None => problem,
            }
        }
    }
}

/// When to try again. A date is as good as nothing: ours are seconds, and so they are documented.
fn retry_after(headers: &HeaderMap) -> Duration {
    let after = headers.get(header::RETRY_AFTER);
    let seconds = after.and_then(|after| after.to_str().ok()?.parse().ok());
    seconds.map_or(RETRY_AFTER, Duration::from_secs)
}

/// The document with this `instance`; `None` if it is not a problem document, or has no `instance`.
fn renamed(document: &[u8], instance: &str) -> Option<Vec<u8>> {
    let mut document: Map<String, Value> = serde_json::from_slice(document).ok()?;
    *document.get_mut("instance")? = instance.into();
    serde_json::to_vec(&document).ok()
}
