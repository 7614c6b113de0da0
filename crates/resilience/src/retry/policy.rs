//! What may be tried again.

use std::time::Duration;

/// What one result means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The caller gets this result.
    Final,
    /// Another attempt may do better.
    Retry {
        /// How long the server asked to wait at least. Zero and `None` leave it to the backoff.
        after: Option<Duration>,
    },
}

/// Says which requests can be repeated and after which results. It knows the protocol; counting, waiting and
/// budgets are the layer's part.
///
/// Only the result that the call resolves with is judged, for HTTP the head of the answer. Once the caller has that,
/// the body may be half read, and there is no trying again.
pub trait Policy<Req, Res, E> {
    /// A copy of the request for another attempt, or `None` if it must not or cannot be repeated whatever
    /// happens. Called before the first attempt, so it is paid by every call: say no early. The layer drops the copy
    /// when the answer is there.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// What this result means; `request` is the copy.
    fn judge(&self, request: &Req, result: Result<&Res, &E>) -> Verdict;

    /// Tells the callee that `previous` attempts came before this one. Nothing, if the protocol has no place for it.
    fn mark(&self, request: &mut Req, previous: u32);
}
