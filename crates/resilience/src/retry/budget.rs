//! The limit on the retries of all calls together.
//!
//! Each call deposits a fraction of a retry, each retry withdraws a whole one: while few calls fail, all of them can be
//! retried, and when all fail, only that fraction can. Deposits expire, so that a quiet night does not pay for a storm
//! in the morning. A few retries each second are free, for clients with few calls. The idea is Finagle's
//! [`RetryBudget`](https://finagle.github.io/blog/2016/02/08/retry-budgets/); tower has it, too. This one takes no lock
//! and never overdraws: theirs can, when several callers check the last token at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ConfigError;

mod window;
use window::Window;

/// The source of the atomics of [`window`]; its loom model replaces it.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

/// The limits of a [`Budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Retries as a percentage of calls: 1 to 100. No retries at all are
    /// [`RetryConfig::max_attempts`](super::RetryConfig::max_attempts) = 1.
    pub percent: u32,
    /// Retries that are free each second, in addition to the percentage: 0 to 1,000. After a quiet time as many as in
    /// one `ttl` can be used at once.
    pub min_per_second: u32,
    /// How long a call pays for retries: 1 s to 60 s. A longer time allows a longer burst of retries when a dependency
    /// fails after a good period; with a shorter time a brief fault can exhaust the budget.
    pub ttl: Duration,
}

impl Default for BudgetConfig {
    /// 10 % and one each second, over 10 s. Half of Finagle's 20 %, since calls are nested here: two levels of 10 % are
    /// 21 % at the bottom.
    fn default() -> Self {
        Self {
            percent: 10,
            min_per_second: 1,
            ttl: Duration::from_secs(10),
        }
    }
}

impl BudgetConfig {
    /// Checks every field.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=100).contains(&self.percent) {
            return Err(ConfigError::new("percent", self.percent, "1 to 100"));
        }
        if self.min_per_second > 1000 {
            let allowed = "0 to 1000";
            return Err(ConfigError::new(
                "min_per_second",
                self.min_per_second,
                allowed,
            ));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&self.ttl) {
            return Err(ConfigError::new("ttl", self.ttl, "1s to 60s"));
        }
        Ok(())
    }
}

/// The cost of one retry. A call deposits [`BudgetConfig::percent`] of it, so that both are whole numbers.
const COST: u32 = 100;

const SLOTS: usize = 10;

/// A budget for retries: a handle, cheap to clone, to be shared by all clients of one dependency.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    window: Window<SLOTS>,
    deposit: u32,
    start: Instant,
    slot_nanos: u64,
}

impl Budget {
    /// A budget with the limits of `config`.
    ///
    /// # Errors
    ///
    /// The first field of `config` that is out of its range.
    pub fn new(config: BudgetConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let slot = config.ttl / u32::try_from(SLOTS).expect("ten");
        let free = u128::from(config.min_per_second * COST) * config.ttl.as_millis() / 1000;
        Ok(Self(Arc::new(Shared {
            window: Window::new(i64::try_from(free).expect("at most 1000/s for 60 s")),
            deposit: config.percent,
            start: Instant::now(),
            slot_nanos: u64::try_from(slot.as_nanos()).expect("at most six seconds"),
        })))
    }

    /// Deposits for one call, whether or not it could be retried: the budget is a share of the load.
    pub fn deposit(&self) {
        self.0.window.deposit(self.0.epoch(), self.0.deposit);
    }

    /// Withdraws one retry, if the budget has one.
    #[must_use = "false means that there must be no retry"]
    pub fn withdraw(&self) -> bool {
        self.0.window.withdraw(self.0.epoch(), COST)
    }

    /// The number of retries that the budget holds now.
    #[must_use]
    pub fn available(&self) -> u64 {
        let balance = self.0.window.balance(self.0.epoch());
        u64::try_from(balance).unwrap_or(0) / u64::from(COST)
    }
}

impl Shared {
    /// The number of the current slot. With the shortest slots, 100 ms, the numbers last for 13 years.
    fn epoch(&self) -> u32 {
        // 64 bits of nanoseconds last even longer, and are divided faster than 128.
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        u32::try_from(nanos / self.slot_nanos).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
