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

/// `RESOURCE_EXHAUSTED` with a `RetryInfo`: the call was refused before anything was done for it.
pub(super) fn overloaded(retry: Duration) -> Status {
    Status::with_error_details(
        Code::ResourceExhausted,
        "there is too much to do at the moment",
        ErrorDetails::with_retry_info(Some(retry)),
    )
}

/// A budget that a caller has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What the budget is called: a token, as in the field `RateLimit`.
    pub name: &'static str,
    /// How much it holds.
    pub limit: u32,
    /// How long all of it takes to refill.
    pub window: Duration,
    /// When there is something in it again.
    pub retry_after: Duration,
}

/// `RESOURCE_EXHAUSTED` that is about the caller and not about us: a `QuotaFailure` names the budget (subject) and how large
/// it is (`100 in 60 s`), a `RetryInfo` says when to come back. It is [`unrepeatable`].
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

/// A refusal that is due to what one client does: `grpc-retry-pushback-ms` is negative, so that nobody in between repeats the
/// call by itself, asks another instance, or takes it for a failure of this one.
pub fn unrepeatable(mut status: Status) -> Status {
    let never = MetadataValue::from_static("-1");
    let metadata = status.metadata_mut();
    metadata.insert("grpc-retry-pushback-ms", never);
    status
}

/// `UNAVAILABLE` with a `RetryInfo`; `detail` names what is missing, without internals.
pub fn unavailable(detail: impl Into<String>, retry: Duration) -> Status {
    Status::with_error_details(
        Code::Unavailable,
        detail,
        ErrorDetails::with_retry_info(Some(retry)),
    )
}
