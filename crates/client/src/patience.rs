//! Calls with less time than their client's configuration allows, by our own decision.

use std::time::Duration;

use resilience::deadline::Deadline;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static OURS: Deadline;
}

/// Limits the calls that `work` makes to `time`, as if their clients were configured that way: a peer that does not
/// answer within it fails, and its breaker counts the failure.
///
/// [`Deadline::scope`] is for a caller's deadline, which says nothing about a peer: a caller that asks for an answer
/// within 1 ms must not open the peer's breaker for all others.
pub fn within<F: Future>(time: Duration, work: F) -> TaskLocalFuture<Deadline, F> {
    OURS.scope(Deadline::after(time), work)
}

/// The deadline of a call that begins now and may take `time`: the earlier one of that and the limit set by [`within`].
pub(crate) fn ours(time: Duration) -> Deadline {
    let own = Deadline::after(time);
    OURS.try_with(|ours| own.earlier(*ours)).unwrap_or(own)
}
