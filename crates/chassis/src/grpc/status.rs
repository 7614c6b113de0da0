//! gRPC statuses with the details of `google.rpc`.

use std::time::Duration;

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

/// `UNAVAILABLE` with a `RetryInfo`; `detail` names what is missing, without internals.
pub fn unavailable(detail: impl Into<String>, retry: Duration) -> Status {
    Status::with_error_details(
        Code::Unavailable,
        detail,
        ErrorDetails::with_retry_info(Some(retry)),
    )
}
