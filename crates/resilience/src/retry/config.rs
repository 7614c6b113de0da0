//! The limits of retries.

use std::time::Duration;

use crate::ConfigError;

/// How often one call is tried, and how long the waits between are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// Attempts for one call, the first included: 1 (no retries) to 10.
    pub max_attempts: u32,
    /// The longest wait before the first retry; it doubles with each further one. Not zero.
    pub backoff_base: Duration,
    /// The longest wait before any retry. At least `backoff_base`.
    pub backoff_cap: Duration,
    /// The longest wait that a server can ask for. If it asks for a longer one the caller gets the answer with the
    /// server's request: the caller's client can wait better than a call that holds a connection.
    pub retry_after_max: Duration,
    /// The least useful time of an attempt: a retry is not started if less than this would be left of the caller's
    /// deadline. It would be dropped before its answer, at the cost of a call to the dependency and a retry of the
    /// budget.
    pub least_left: Duration,
}

impl Default for RetryConfig {
    /// Three attempts, waits of up to 25 ms and 50 ms, and up to 2 s on request. The first retry is early because most
    /// faults affect one instance and the next attempt goes to another; when a third attempt fails, a fourth rarely
    /// helps.
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff_base: Duration::from_millis(25),
            backoff_cap: Duration::from_secs(1),
            retry_after_max: Duration::from_secs(2),
            least_left: Duration::from_millis(1),
        }
    }
}

impl RetryConfig {
    /// Checks every field.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=10).contains(&self.max_attempts) {
            return Err(ConfigError::new(
                "max_attempts",
                self.max_attempts,
                "1 to 10",
            ));
        }
        if self.backoff_base.is_zero() {
            return Err(ConfigError::new(
                "backoff_base",
                self.backoff_base,
                "more than 0s",
            ));
        }
        if self.backoff_cap < self.backoff_base {
            let allowed = format!("at least backoff_base, {:?}", self.backoff_base);
            return Err(ConfigError::new("backoff_cap", self.backoff_cap, allowed));
        }
        Ok(())
    }
}
