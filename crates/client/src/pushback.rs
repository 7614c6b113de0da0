//! Retry delays that a peer asks for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};
use resilience::classify::grpc_status;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Whether a refusal carries a retry delay, over HTTP or gRPC.
pub(crate) fn is_pushback(headers: &HeaderMap) -> bool {
    headers.contains_key(RETRY_AFTER)
        || headers.contains_key("grpc-retry-pushback-ms")
        || retry_info(headers).is_some()
}

/// Whether an answer forbids a retry, at this endpoint or another: the request itself, i.e. the caller, is the reason
/// for the refusal.
pub(crate) fn is_final(headers: &HeaderMap) -> bool {
    let pushback = headers.get("grpc-retry-pushback-ms");
    pushback.is_some_and(|value| value.as_bytes().starts_with(b"-"))
}

/// The retry delay in the details of a gRPC status. `None` if the status says that the caller's own quota is used up:
/// then the caller itself has to wait, because retries here would use up the retry budget that all callers share.
pub(crate) fn retry_info(headers: &HeaderMap) -> Option<Duration> {
    let details = details(headers)?.get_error_details();
    match details.quota_failure() {
        None => details.retry_info()?.retry_delay,
        Some(_) => None,
    }
}

/// Whether an answer refuses because the caller has used up a quota of its own: HTTP 429, or `RESOURCE_EXHAUSTED` with
/// a `QuotaFailure`. It says nothing about the capacity that the server has for others.
pub(crate) fn is_quota<T>(answer: &Response<T>) -> bool {
    answer.status() == StatusCode::TOO_MANY_REQUESTS
        || (grpc_status(answer) == Some(Code::ResourceExhausted as u8)
            && details(answer.headers())
                .is_some_and(|status| status.get_details_quota_failure().is_some()))
}

/// A status with the error details from the head of an answer, if there are any.
fn details(headers: &HeaderMap) -> Option<Status> {
    let details = headers.get("grpc-status-details-bin")?.as_bytes();
    let unpadded = details.trim_ascii_end();
    let unpadded = unpadded
        .strip_suffix(b"==")
        .or(unpadded.strip_suffix(b"="))
        .unwrap_or(unpadded);
    let details = STANDARD_NO_PAD.decode(unpadded).ok()?;
    Some(Status::with_details(Code::Unavailable, "", details.into()))
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn retry_info_is_read_as_servers_write_it() {
        for nanos in [1, 250_000_000, 1_000_000_000] {
            let mut details = ErrorDetails::new();
            details.set_retry_info(Some(Duration::from_nanos(nanos)));
            let status = Status::with_error_details(Code::Unavailable, "busy", details);
            let answer = status.into_http::<()>();
            assert_eq!(
                retry_info(answer.headers()),
                Some(Duration::from_nanos(nanos))
            );
            assert!(is_pushback(answer.headers()));
        }
        assert!(!is_pushback(
            Status::unavailable("away").into_http::<()>().headers()
        ));
    }

    #[test]
    fn a_negative_pushback_is_final() {
        let mut headers = HeaderMap::new();
        for (text, is) in [("-1", true), ("0", false), ("250", false), ("", false)] {
            headers.insert("grpc-retry-pushback-ms", text.parse().unwrap());
            assert_eq!(is_final(&headers), is, "{text:?}");
        }
        assert!(!is_final(&HeaderMap::new()));
    }

    #[test]
    fn nonsense_is_no_pushback() {
        let mut headers = HeaderMap::new();
        for text in ["", "=", "====", "!", "AAAA", "CAgS"] {
            headers.insert("grpc-status-details-bin", text.parse().unwrap());
            assert_eq!(retry_info(&headers), None, "{text}");
        }
    }
}
