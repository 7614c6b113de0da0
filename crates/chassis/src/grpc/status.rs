//! gRPC statuses with the details of `google.rpc`.

use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `INVALID_ARGUMENT` with a `BadRequest` that lists every wrong field: (field, description).
pub fn invalid(
    violations: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> Status {
    let mut details = ErrorDetails::new();
    for (field, description) in violations {
        details.add_bad_request_violation(field, description);
    }
    Status::with_error_details(Code::InvalidArgument, "the request is not valid", details)
}

/// `RESOURCE_EXHAUSTED` with a `RetryInfo`: the call was refused before any work was done for it.
pub(super) fn overloaded(retry: Duration) -> Status {
    Status::with_error_details(
        Code::ResourceExhausted,
        "there is too much to do at the moment",
        ErrorDetails::with_retry_info(Some(retry)),
    )
}

/// A quota that a caller has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The name of the quota: a token, as in the field `RateLimit`.
    pub name: &'static str,
    /// How many calls it allows within `window`.
    pub limit: u32,
    /// How long an empty quota takes to refill completely.
    pub window: Duration,
    /// How long to wait until a call is allowed again.
    pub retry_after: Duration,
}

/// `RESOURCE_EXHAUSTED` because of the caller's own quota, not of our load: a `QuotaFailure` names the quota (subject)
/// and its size (`100 in 60 s`), a `RetryInfo` the time to wait. The status is [`unrepeatable`].
pub fn exhausted(detail: impl Into<String>, quota: Quota) -> Status {
    let mut details = ErrorDetails::with_retry_info(Some(quota.retry_after));
    let size = format!("{} in {} s", quota.limit, quota.window.as_secs());
    details.add_quota_failure_violation(quota.name, size);
    unrepeatable(Status::with_error_details(
        Code::ResourceExhausted,
        detail,
        details,
    ))
}

/// Marks a refusal as caused by the client itself: `grpc-retry-pushback-ms` is negative, so that no intermediary
/// retries the call, sends it to another instance, or counts it as a failure of this one.
pub fn unrepeatable(mut status: Status) -> Status {
    let never = MetadataValue::from_static("-1");
    let metadata = status.metadata_mut();
    metadata.insert("grpc-retry-pushback-ms", never);
    status
}

/// `UNAVAILABLE` with a `RetryInfo`; `detail` names what is unavailable, without internals.
pub fn unavailable(detail: impl Into<String>, retry: Duration) -> Status {
    Status::with_error_details(
        Code::Unavailable,
        detail,
        ErrorDetails::with_retry_info(Some(retry)),
    )
}
