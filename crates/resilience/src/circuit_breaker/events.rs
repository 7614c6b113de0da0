//! The state of a breaker and its changes, for people.

use std::fmt;
use std::time::Duration;

use super::word::Phase;

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls go through and are counted.
    Closed,
    /// Calls are refused.
    Open,
    /// Some calls go through, to probe whether the dependency has recovered.
    HalfOpen,
    /// Calls are refused until an administrator changes that.
    ForcedOpen,
    /// Calls go through and are not counted until an administrator changes that.
    ForcedClosed,
}

impl State {
    pub(super) fn of(phase: Phase) -> Self {
        match phase {
            Phase::Closed => Self::Closed,
            Phase::Open { .. } => Self::Open,
            Phase::HalfOpen { .. } => Self::HalfOpen,
            Phase::ForcedOpen => Self::ForcedOpen,
            Phase::ForcedClosed => Self::ForcedClosed,
        }
    }

    /// Its name in metrics and on the admin port: `closed`, `open`, `half_open`, `forced_open`, `forced_closed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A change of a breaker's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The state before.
    pub from: State,
    /// The new state.
    pub to: State,
    /// The number of state changes so far, including this one; it wraps after 131,072.
    pub generation: u32,
}

/// The state of a breaker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The breaker's name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// If open, the remaining time; zero when the next caller will be a probe.
    pub open_for: Option<Duration>,
    /// Probes in progress.
    pub probes: u32,
    /// Calls in the window, which is empty after a closing. While open these are the calls that led to the opening.
    pub calls: u32,
    /// Calls of the window that failed or were slow.
    pub failures: u32,
    /// Calls of the window that were slow.
    pub slow: u32,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// How often it opened, forced or not, since its creation.
    pub opened: u64,
    /// How often it became half-open.
    pub half_opened: u64,
    /// How often it closed, forced or not.
    pub closed: u64,
    /// Calls that were refused.
    pub rejected: u64,
}
