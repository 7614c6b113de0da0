//! Calls with less time than their client's configuration allows, by our own decision.

use std::time::Duration;

use resilience::deadline::Deadline;

use crate::ClientConfig;

/// A peer is judged by a call that has at least this fraction (a half) of the time that the longest attempt could have
/// had: whatever others have left of a shared time otherwise would be the fault of those who are asked last.
const JUDGED_PART: u32 = 2;

tokio::task_local! {
    static OURS: Shared;
}

/// A time that the calls of some work share.
#[derive(Debug, Clone, Copy)]
struct Shared {
    deadline: Deadline,
    whole: Duration,
}

/// What our own configuration gives to a call that begins now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    pub(crate) deadline: Deadline,
    /// Whether it is only what the calls before have left, so that its end says nothing about the peer.
    pub(crate) is_rest: bool,
}

/// Limits the calls that `work` makes to `time`, as if their clients were configured that way: a peer that does not
/// answer within it fails, and its breaker counts the failure. A call that begins when others have used up most of the
/// time is not counted: how long those took is a client's to choose, if it may ask for several things one after the other.
///
/// [`Deadline::scope`] is for a caller's deadline, which says nothing about a peer: a caller that asks for an answer
/// within 1 ms must not open the peer's breaker for all others.
pub fn within<F: Future>(time: Duration, work: F) -> impl Future<Output = F::Output> {
    let shared = Shared {
        deadline: Deadline::after(time),
        whole: time,
    };
    OURS.scope(shared, work)
}

/// What a call has that begins now: its client's deadline, or the limit set by [`within`] if that is earlier.
pub(crate) fn ours(config: &ClientConfig) -> Given {
    let own = Deadline::after(config.deadline);
    let given = OURS.try_with(|shared| Given {
        deadline: own.earlier(shared.deadline),
        is_rest: shared.deadline.remaining() < config.attempt.min(shared.whole) / JUDGED_PART,
    });
    given.unwrap_or(Given {
        deadline: own,
        is_rest: false,
    })
}
