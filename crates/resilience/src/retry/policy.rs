//! The decision which calls may be retried.

use std::time::Duration;

/// The meaning of a result for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The caller gets this result.
    Final,
    /// Another attempt may succeed.
    Retry {
        /// The shortest wait that the server asked for. Zero and `None` leave it to the backoff.
        after: Option<Duration>,
    },
}

/// Decides which requests can be repeated and after which results. It knows the protocol; counting, waiting and budgets
/// are up to the layer.
///
/// Only the result with which the call resolves is judged, for HTTP the head of the answer. Once the caller has it, the
/// body may be partly read, and a retry is not possible any more.
pub trait Policy<Req, Res, E> {
    /// A copy of the request for another attempt, or `None` if it must not or cannot be repeated in any case. It is
    /// called before the first attempt, so that every call pays for it: return `None` early. The layer drops the copy
    /// when the answer has arrived.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// The meaning of this result; `request` is the copy.
    fn judge(&self, request: &Req, result: Result<&Res, &E>) -> Verdict;

    /// Whether a final answer is one that the call was made for, and no failure that another attempt would not mend. For the
    /// statistics alone; by default every answer is.
    fn is_success(&self, _answer: &Res) -> bool {
        true
    }

    /// Tells the callee that `previous` attempts came before this one. Does nothing if the protocol has no field for
    /// it.
    fn mark(&self, request: &mut Req, previous: u32);
}
