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
    admission: Admission,
    is_recorded: bool,
}

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

impl<B: Borrow<CircuitBreaker>> Permit<B> {
    #[inline]
    pub(super) fn new(breaker: B, admission: Admission) -> Self {
        Self {
            breaker,
            admission,
            is_recorded: false,
        }
    }

    /// Counts the call's result, unless the breaker has changed its state since the call began.
    #[inline]
    pub fn record(mut self, outcome: Outcome) {
        self.is_recorded = true;
        self.breaker.borrow().record(self.admission, outcome);
    }

    /// The same for who knows better than the permit how long the dependency took, since it was asked late, or more than
    /// once. It matters only where slow calls count.
    #[inline]
    pub fn record_took(mut self, outcome: Outcome, took: Duration) {
        self.is_recorded = true;
        let breaker = self.breaker.borrow();
        breaker
            .inner
            .record(self.admission.ticket, outcome, Some(took));
    }

    /// Counts the call's result as the classifier sees it.
    #[inline]
    pub fn record_result<T, E>(self, classify: &impl Classify<T, E>, result: &Result<T, E>) {
        self.record(classify.classify(result.as_ref()));
    }

    /// Whether the call is a half-open breaker's probe.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.admission.is_probe()
    }
}

impl<B: Borrow<CircuitBreaker>> Drop for Permit<B> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_recorded {
            let breaker = self.breaker.borrow();
            breaker.record(self.admission, Outcome::Ignored);
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
