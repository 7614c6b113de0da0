//! Leave to make one call, or the refusal of it.

use std::borrow::Borrow;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::classify::{Classify, Outcome};

use super::CircuitBreaker;
use super::state::Ticket;

/// Leave to make one call. Record its result; dropped without one it counts as [`Outcome::Ignored`], so a caller
/// that is cancelled takes no probe's place with it.
///
/// A probe that never ends holds its place, and a breaker whose probes all hang stays half-open. So bound the
/// call in time, inside of the breaker; then a hanging dependency is a failed probe.
#[must_use = "dropping it records nothing"]
#[derive(Debug)]
pub struct Permit<B: Borrow<CircuitBreaker>> {
    breaker: B,
    ticket: Ticket,
    /// Only when slow calls count.
    started: Option<Instant>,
    is_recorded: bool,
}

impl<B: Borrow<CircuitBreaker>> Permit<B> {
    #[inline]
    pub(super) fn new(breaker: B, ticket: Ticket, started: Option<Instant>) -> Self {
        Self {
            breaker,
            ticket,
            started,
            is_recorded: false,
        }
    }

    /// Counts the call's result, unless the breaker has changed its state since the call began.
    #[inline]
    pub fn record(mut self, outcome: Outcome) {
        self.is_recorded = true;
        let inner = &self.breaker.borrow().inner;
        inner.record(self.ticket, self.started, outcome);
    }

    /// Counts the call's result as the classifier sees it.
    #[inline]
    pub fn record_result<T, E>(self, classify: &impl Classify<T, E>, result: &Result<T, E>) {
        self.record(classify.classify(result.as_ref()));
    }

    /// Whether the call is a half-open breaker's probe.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.ticket.is_probe()
    }
}

impl<B: Borrow<CircuitBreaker>> Drop for Permit<B> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_recorded && self.ticket.is_probe() {
            self.breaker.borrow().inner.settle(self.ticket, None);
        }
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
