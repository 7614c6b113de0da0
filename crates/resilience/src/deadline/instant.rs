//! A deadline as a point in time.

use std::time::Duration;

use tokio::time::Instant;

/// The point in time at which a call is abandoned, by tokio's clock (which tests can pause).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `left` from now. A time beyond the range of the clock becomes 30 years, which is as good as never.
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

    /// The remaining time; zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.0 <= Instant::now()
    }

    /// The point in time.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of two deadlines: a callee can shorten its caller's deadline, but never extend it.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        self.min(other)
    }
}
