//! Reading the body of a request that is passed on.

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use chassis::extract::BODY_TIMEOUT;
use chassis::http::body_limit;
use chassis::problem::Problem;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::error::BROKEN_OFF;

/// The longest body that is passed on, in bytes: the limit of the services behind. 128 MiB if all requests that may be in
/// progress (`MAX_IN_FLIGHT`) have such a body.
pub(super) const BODY_BYTES_MAX: usize = contracts::limits::PASSED_ON_BODY_BYTES_MAX;

/// Reads a body completely, before the service behind is called.
///
/// It is not streamed: a client that sends slowly would hold a place among the calls to the service behind, and its time would
/// count as that service's latency. A complete body can also be sent again, so that an order does not fail because one of two
/// instances has just gone.
///
/// # Errors
/// 408 if it takes longer than [`BODY_TIMEOUT`], 413 if it is longer than [`BODY_BYTES_MAX`], 400 if it breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        // What is read has none, as a rule.
        return Ok(Bytes::new());
    }
    let read = timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect());
    match read.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::payload_too_large(BODY_BYTES_MAX))
        }
        Ok(Err(error)) => Err(body_limit::exceeded(&*error).map_or_else(
            || Problem::bad_request(BROKEN_OFF),
            Problem::payload_too_large,
        )),
        Err(_) => Err(Problem::from_status(StatusCode::REQUEST_TIMEOUT)),
    }
}
