//! What a breaker answers to whoever asks to make a call.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::state::Ticket;

/// What a breaker wants to see again of a call that it let in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    pub(super) ticket: Ticket,
    /// Only when slow calls count.
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

/// The breaker lets no call through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Asking before is in vain. When half-open or forced open nobody knows; then it is one second.
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
