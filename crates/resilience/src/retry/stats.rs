//! The counters of retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Budget;

/// The counters of one [`RetryLayer`](super::RetryLayer): a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct RetryStats {
    counters: Arc<Counters>,
    budget: Budget,
}

/// The effect of retries since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySnapshot {
    /// Calls by callers.
    pub calls: u64,
    /// Attempts made for them: calls and retries.
    pub attempts: u64,
    /// Attempts after the first one of a call.
    pub retries: u64,
    /// Calls that a retry saved: they succeeded after more than one attempt.
    pub retried_successes: u64,
    /// Calls that failed with their last allowed attempt.
    pub attempts_exhausted: u64,
    /// Retries that the budget refused.
    pub budget_exhausted: u64,
    /// Retries that would have started after the deadline.
    pub out_of_time: u64,
    /// Retries for which the server asked for too long a delay.
    pub asked_too_long: u64,
    /// Retries that the budget holds at this moment.
    pub budget_available: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) calls: Counter,
    pub(super) retries: Counter,
    pub(super) retried_successes: Counter,
    pub(super) attempts_exhausted: Counter,
    pub(super) budget_exhausted: Counter,
    pub(super) out_of_time: Counter,
    pub(super) asked_too_long: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl RetryStats {
    pub(super) fn new(counters: Arc<Counters>, budget: Budget) -> Self {
        Self { counters, budget }
    }

    /// The current counters. Each is exact; together they are from slightly different moments.
    #[must_use]
    pub fn snapshot(&self) -> RetrySnapshot {
        let counters = &self.counters;
        let (calls, retries) = (counters.calls.get(), counters.retries.get());
        RetrySnapshot {
            calls,
            attempts: calls + retries,
            retries,
            retried_successes: counters.retried_successes.get(),
            attempts_exhausted: counters.attempts_exhausted.get(),
            budget_exhausted: counters.budget_exhausted.get(),
            out_of_time: counters.out_of_time.get(),
            asked_too_long: counters.asked_too_long.get(),
            budget_available: self.budget.available(),
        }
    }
}
