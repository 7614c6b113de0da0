//! Leave to make one call.

use std::borrow::Borrow;
use std::time::Duration;

use crate::classify::{Classify, Outcome};

use super::CircuitBreaker;
use super::admission::{Admission, Rejected};

impl CircuitBreaker {
    /// Asks to make one call. Whoever is let in makes the call and records its result on the permit.
    ///
    /// # Errors
    /// The breaker is open, or half-open with all its probes on their way.
    #[inline]
    pub fn acquire(&self) -> Result<Permit<&Self>, Rejected> {
        Ok(Permit::new(self, self.inner.acquire()?))
    }

    /// As [`acquire`](Self::acquire), for a permit that has to live in a task or future of its own. It counts a
    /// reference more, which cores contend for; so prefer the borrowed one where it can be had.
    ///
    /// # Errors
    /// As `acquire`.
    #[inline]
    pub fn acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        let admission = self.inner.acquire()?;
        Ok(Permit::new(self.clone(), admission))
    }
}

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

impl<B: Borrow<CircuitBreaker>> Permit<B> {
    #[inline]
    fn new(breaker: B, admission: Admission) -> Self {
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
