//! The answer of a breaker to a caller that wants to make a call.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::word::Ticket;

/// Identifies an admitted call; the breaker needs it again to record the result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    pub(super) ticket: Ticket,
    /// The start of the call; set only if slow calls count.
    pub(super) started: Option<Instant>,
}

impl Admission {
    /// Whether the call is a half-open breaker's probe.
    pub(crate) fn is_probe(self) -> bool {
        self.ticket.is_probe()
    }

    pub(super) fn took(self) -> Option<Duration> {
        self.started.map(|started| started.elapsed())
    }
}

/// The breaker refuses the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Earlier retries are pointless. When half-open or forced open the time is unknown; then it is one second.
    pub retry_after: Duration,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the circuit breaker is open; try again in {:?}",
            self.retry_after
        )
    }
}

impl std::error::Error for Rejected {}
