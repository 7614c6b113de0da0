//! The permission to make one call.

use std::borrow::Borrow;
use std::time::Duration;

use crate::classify::{Classify, Outcome};

use super::CircuitBreaker;
use super::admission::{Admission, Rejected};

impl CircuitBreaker {
    /// Asks for permission to make one call. The caller makes the call and records its result on the permit.
    ///
    /// # Errors
    /// If the breaker is open, or half-open with all its probes in progress.
    #[inline]
    pub fn acquire(&self) -> Result<Permit<&Self>, Rejected> {
        Ok(Permit::new(self, self.inner.acquire()?))
    }

    /// Like [`acquire`](Self::acquire), for a permit that has to live in its own task or future. It counts one more
    /// reference, for which cores contend; so prefer the borrowed one where possible.
    ///
    /// # Errors
    /// As `acquire`.
    #[inline]
    pub fn acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        let admission = self.inner.acquire()?;
        Ok(Permit::new(self.clone(), admission))
    }
}

/// The permission to make one call. Record the result; if it is dropped without one it counts as [`Outcome::Ignored`],
/// so that a cancelled caller does not occupy a probe's place.
///
/// A probe that never ends occupies its place, and a breaker whose probes all hang stays half-open. So limit the time
/// of the call, inside of the breaker; then a hanging dependency becomes a failed probe.
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

    /// Records the call's result, unless the breaker has changed its state since the call began.
    #[inline]
    pub fn record(mut self, outcome: Outcome) {
        self.is_recorded = true;
        self.breaker.borrow().record(self.admission, outcome);
    }

    /// Like [`record`](Self::record), with the time that the dependency took, for callers that know it better than the
    /// permit, because the call started late or had several attempts. It matters only if slow calls count.
    #[inline]
    pub fn record_took(mut self, outcome: Outcome, took: Duration) {
        self.is_recorded = true;
        let breaker = self.breaker.borrow();
        breaker
            .inner
            .record(self.admission.ticket, outcome, Some(took));
    }

    /// Records the call's result as judged by the classifier.
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
