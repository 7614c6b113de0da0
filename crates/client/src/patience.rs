//! Calls that have less time than their client's configuration says, by our own decision.

use std::time::Duration;

use resilience::deadline::Deadline;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static OURS: Deadline;
}

/// Bounds the calls that `work` makes by `time`, as if their clients were configured so: a peer that does not answer
/// within it fails, and its breaker hears of it.
///
/// [`Deadline::scope`] is for the patience of a caller, which says nothing about a peer: who asks for an answer
/// within 1 ms must not close the peer for all others.
pub fn within<F: Future>(time: Duration, work: F) -> TaskLocalFuture<Deadline, F> {
    OURS.scope(Deadline::after(time), work)
}

/// The end of a call that begins now and that its client gives `time`, as far as we decide.
pub(crate) fn ours(time: Duration) -> Deadline {
    let own = Deadline::after(time);
    OURS.try_with(|ours| own.earlier(*ours)).unwrap_or(own)
}
