//! Whether an endpoint may be asked, as far as the balancer has to know.

use tokio::time::Instant;

use crate::classify::Outcome;

/// What an endpoint's own calls say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It works, as far as is known.
    Up,
    /// It was down, and a probe may find out whether it still is. [`Health::admit`] says whether one is free.
    Probation,
    /// It is left out until this time.
    Down {
        /// When it may be probed.
        until: Instant,
    },
}

/// Judges one endpoint by its calls. [`Ejection`](super::Ejection) is the plain one; a circuit breaker for each
/// endpoint is another.
///
/// It only judges: how many endpoints may be left out at once is the balancer's to say, which may therefore ask an
/// endpoint that is down. Such a call has no permit and is not recorded.
pub trait Health {
    /// The right to make one call and the duty to tell how it went.
    type Permit;

    /// Whether it writes to the log itself when the endpoint goes out and comes back. If not, the balancer does: one
    /// line for each either way.
    const LOGS: bool = false;

    /// Where it stands. A look without a side effect, made for each candidate of each call: a load or two.
    fn standing(&self, now: Instant) -> Standing;

    /// Lets a call through: always while it is up, a bounded number of probes on probation, none while it is down.
    fn admit(&self, now: Instant) -> Option<Self::Permit>;

    /// How an admitted call went. It is told of each, once; [`Outcome::Ignored`] if the caller gave it up early.
    fn record(&self, permit: Self::Permit, outcome: Outcome, now: Instant);
}
