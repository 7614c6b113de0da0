//! The point in time.

use std::time::Duration;

use tokio::time::Instant;

/// The point in time at which a call is given up, by tokio's clock (which tests can pause).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `left` from now. A time that the clock cannot hold is as good as never: 30 years.
    #[must_use]
    pub fn after(left: Duration) -> Self {
        Self::from(Instant::now(), left)
    }

    pub(super) fn from(now: Instant, left: Duration) -> Self {
        const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        Self(now.checked_add(left).unwrap_or_else(|| now + NEVER))
    }

    /// The deadline at `instant`.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// What is left; zero when it is over.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.0 <= Instant::now()
    }

    /// The point in time.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of two deadlines: a callee can shorten its caller's, never extend it.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        self.min(other)
    }
}
