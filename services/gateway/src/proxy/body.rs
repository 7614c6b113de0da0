//! The body of a request on its way through.

use axum::body::Body;
use bytes::Bytes;
use chassis::extract::BODY_TIMEOUT;
use chassis::http::body_limit;
use chassis::problem::Problem;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::error::BROKEN_OFF;

/// The longest body that is passed on, in bytes: as much as the services behind read of one. 128 MiB for all requests that
/// may be in progress (`MAX_IN_FLIGHT`), if each of them had sent so much.
pub(super) const BODY_BYTES_MAX: usize = contracts::limits::PASSED_ON_BODY_BYTES_MAX;

/// Reads a body to its end, before anybody behind is asked.
///
/// Not passed on as it comes: who sends it slowly, or not at all, would hold a place among the calls to the service
/// behind, its time would be that service's, and how the service did could not be told. Read, it can also be sent
/// again: an order does not fail because one of two instances has just gone.
///
/// # Errors
/// 408 if it takes longer than [`BODY_TIMEOUT`], 413 if it is longer than [`BODY_BYTES_MAX`], 400 if it breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, Problem> {
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
