//! What a breaker shows of itself.

use std::fmt;
use std::time::Duration;

use super::state::Phase;

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls go through and are counted.
    Closed,
    /// Calls are refused.
    Open,
    /// Some calls go through, to see whether the dependency is back.
    HalfOpen,
    /// Calls are refused until an administrator says otherwise.
    ForcedOpen,
    /// Calls go through and are not counted until an administrator says otherwise.
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

/// A breaker went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// The changes of state so far, this one included; it starts over after 131,072.
    pub generation: u32,
}

/// A breaker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which one.
    pub name: String,
    /// Its state.
    pub state: State,
    /// If open: for how much longer; zero when the next caller will be a probe.
    pub open_for: Option<Duration>,
    /// Probes in progress.
    pub probes: u32,
    /// Calls in the window, which is empty after a closing. While open it is what led to the opening.
    pub calls: u32,
    /// Those of them that failed or were slow.
    pub failures: u32,
    /// Those of them that were slow.
    pub slow: u32,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// How often it opened, forced or not, since it was made.
    pub opened: u64,
    /// How often it became half-open.
    pub half_opened: u64,
    /// How often it closed, forced or not.
    pub closed: u64,
    /// Calls that it refused.
    pub rejected: u64,
}
