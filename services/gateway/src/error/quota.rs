//! The answer when the client has used up a budget that a service behind keeps.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use chassis::problem::Problem;
use tonic::Status;
use tonic_types::StatusExt;

use super::RETRY_AFTER;

/// 429 with `Retry-After` and the fields of draft-ietf-httpapi-ratelimit-headers, if the status says that the caller has used
/// up a budget (`google.rpc.QuotaFailure`); `None` if the service behind is overloaded, which is not the caller's fault.
pub(super) fn problem(status: &Status) -> Option<Problem> {
    let quota = status.get_details_quota_failure()?;
    let violation = quota.violations.into_iter().next()?;
    let after = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
        .unwrap_or(RETRY_AFTER);
    let (name, size) = (violation.subject, violation.description);
    let problem = Problem::too_many_requests(after).with_detail(status.message());
    Some(with_fields(problem, &name, &size, after))
}

/// Adds the policy (`q` in `w` seconds), if the service behind gives its size, and the client's remaining budget.
fn with_fields(problem: Problem, name: &str, size: &str, after: Duration) -> Problem {
    let seconds = after.as_millis().div_ceil(1000).max(1);
    let mut fields = vec![("ratelimit", format!("\"{name}\";r=0;t={seconds}"))];
    if let Some((limit, window)) = sizes(size) {
        fields.push((
            "ratelimit-policy",
            format!("\"{name}\";q={limit};w={window}"),
        ));
    }
    fields.into_iter().fold(
        problem,
        |problem, (field, value)| match HeaderValue::try_from(value) {
            Ok(value) => problem.with_header(HeaderName::from_static(field), value),
            Err(_) => problem,
        },
    )
}

/// Reads `100 in 60 s`.
fn sizes(text: &str) -> Option<(u32, u32)> {
    let (limit, window) = text.strip_suffix(" s")?.split_once(" in ")?;
    Some((limit.parse().ok()?, window.parse().ok()?))
}
