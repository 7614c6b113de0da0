//! The limits of a server's load.

use std::time::Duration;

use crate::ConfigError;

/// The limits of a server's load. Durations are kept to the precision of tokio's clock, about a millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Calls in progress at once; at least 1.
    pub max_in_flight: usize,
    /// The most calls that wait to begin. 0: a call is refused at once when all places are taken.
    pub max_waiting: usize,
    /// The longest wait of a call while the queue stands.
    pub target: Duration,
    /// The longest wait of a call otherwise, and the time without becoming empty after which the queue stands; above
    /// `target`.
    pub interval: Duration,
    /// The retry delay that refused callers are given.
    pub retry_after: Duration,
}

/// Target and interval are those of "Fail at Scale", which found that they need no tuning. 512 in progress are more
/// than a small service handles well and less than its memory holds; replace it by a measured value.
impl Default for Config {
    fn default() -> Self {
        Self {
            max_in_flight: 512,
            max_waiting: 256,
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
            retry_after: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_in_flight == 0 {
            return Err(ConfigError::new("max_in_flight", 0, "at least 1"));
        }
        for (field, duration) in [("target", self.target), ("retry_after", self.retry_after)] {
            if duration.is_zero() {
                return Err(ConfigError::new(field, duration, "more than 0 s"));
            }
        }
        if self.interval <= self.target {
            let allowed = format_args!("more than target, which is {:?}", self.target);
            return Err(ConfigError::new("interval", self.interval, allowed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_work_is_one_line_that_names_the_field() {
        assert_eq!(
            wrong(|c| c.max_in_flight = 0),
            "max_in_flight is 0; allowed is at least 1"
        );
        assert_eq!(
            wrong(|c| c.target = Duration::ZERO),
            "target is 0ns; allowed is more than 0 s"
        );
        assert_eq!(
            wrong(|c| c.retry_after = Duration::ZERO),
            "retry_after is 0ns; allowed is more than 0 s"
        );
        assert_eq!(
            wrong(|c| c.interval = c.target),
            "interval is 5ms; allowed is more than target, which is 5ms"
        );
        Config::default().validate().unwrap();
    }
}
