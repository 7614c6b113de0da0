//! What every door has in common, whether it speaks HTTP or gRPC: how long a request may take.

use std::future::Future;
use std::time::Duration;

use resilience::deadline::Deadline;

/// The bounds of a door; [`crate::config::Door`] reads them from flags and environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest that a request may take until its answer begins. A caller can ask for less
    /// (`x-request-timeout-ms` over HTTP, `grpc-timeout` over gRPC), never for more: whoever it is, it cannot
    /// make this service hold on to something for an hour.
    pub timeout: Duration,
}

/// See [`Limits::timeout`]. Longer than what any one step has, a statement of the database or the
/// arrival of a body, so that the step's own error comes first, which says more.
pub const TIMEOUT: Duration = Duration::from_secs(15);

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: TIMEOUT }
    }
}

impl Limits {
    /// The deadline of a request that arrives now, from a caller who waits as long as it says, if it does.
    pub(crate) fn deadline(&self, caller: Option<Duration>) -> Deadline {
        Deadline::after(caller.map_or(self.timeout, |caller| caller.min(self.timeout)))
    }
}

/// Does the work of a request under its deadline: the calls that it makes see what is left
/// ([`Deadline::current`]), and at the end of it the work is dropped and the answer is None. Not even
/// begun, if it is over already.
pub(crate) async fn within<F: Future>(deadline: Deadline, work: F) -> Option<F::Output> {
    if deadline.is_over() {
        return None;
    }
    let scoped = deadline.scope(work);
    tokio::time::timeout_at(deadline.instant(), scoped)
        .await
        .ok()
}
