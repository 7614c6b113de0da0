//! How many may be inside, and who may wait.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ConfigError;
use crate::deadline::Deadline;

/// How many may be inside, and how many may wait for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Calls inside at once. By Little's law a dependency that answers `r` calls a second in `t` seconds each has
    /// `r · t` of them in progress; the limit is a small multiple of that.
    pub max_in_flight: Limit,
    /// Calls that may wait for a place. 0: whoever finds no place is refused at once.
    pub max_waiting: usize,
    /// How long each of them may wait. A deadline that ends earlier ends the wait earlier.
    pub max_wait: Duration,
}

/// The calls that may be inside at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// Always so many; at least 1.
    Fixed(usize),
    /// Moves between bounds with measured latency and failures.
    Adaptive(AdaptiveConfig),
}

/// 64 inside are enough for 1,280 calls a second at 50 ms; as many again may wait, for a tenth of a second, which
/// is long enough for a burst and short beside any deadline.
impl Default for Config {
    fn default() -> Self {
        Self {
            max_in_flight: Limit::Fixed(64),
            max_waiting: 64,
            max_wait: Duration::from_millis(100),
        }
    }
}

impl Config {
    /// Whether a bulkhead can work with it.
    ///
    /// # Errors
    /// Names the first field that it cannot work with.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match &self.max_in_flight {
            Limit::Fixed(limit) => within("max_in_flight", *limit)?,
            Limit::Adaptive(adaptive) => adaptive.validate()?,
        }
        if self.max_waiting > 0 && self.max_wait.is_zero() {
            let allowed = "more than 0 s, or max_waiting 0 for no waiting";
            return Err(ConfigError::new("max_wait", self.max_wait, allowed));
        }
        Ok(())
    }

    /// How long the call that runs now may wait: a place that comes after its deadline is of no use to it.
    pub(super) fn longest_wait(&self) -> Duration {
        Deadline::current().map_or(self.max_wait, |d| d.remaining().min(self.max_wait))
    }
}

/// How a limit moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdaptiveConfig {
    /// The limit before anything is measured.
    pub initial: usize,
    /// It never falls below this; at least 1, so that there is always something to measure.
    pub min: usize,
    /// It never rises above this.
    pub max: usize,
    /// An answer that takes longer is a sign of overload. A good start is twice the usual 99th percentile.
    pub latency_target: Duration,
    /// The shortest time between two moves. A window lasts longer while it has fewer than 10 answers to calls that
    /// began in it: only those say something about the limit that it has.
    pub window: Duration,
    /// The limit shrinks when more than this share of a window's answers were late or failures: 0 to 99 %.
    pub tolerated_percent: u8,
    /// By how much it shrinks: 1 to 99 %, and at least one place.
    pub decrease_percent: u8,
}

/// Starts at what Netflix's library starts with, 20; shrinks by 10 % as theirs does.
impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            initial: 20,
            min: 4,
            max: 200,
            latency_target: Duration::from_millis(250),
            window: Duration::from_millis(100),
            tolerated_percent: 10,
            decrease_percent: 10,
        }
    }
}

impl AdaptiveConfig {
    /// Whether a limit can move like this.
    ///
    /// # Errors
    /// Names the first field that cannot be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        within("max_in_flight.min", self.min)?;
        within("max_in_flight.max", self.max)?;
        if self.max < self.min {
            let allowed = format_args!("at least min, which is {}", self.min);
            return Err(ConfigError::new("max_in_flight.max", self.max, allowed));
        }
        if !(self.min..=self.max).contains(&self.initial) {
            let allowed = format_args!("{} to {}", self.min, self.max);
            return Err(ConfigError::new(
                "max_in_flight.initial",
                self.initial,
                allowed,
            ));
        }
        for (field, duration) in [
            ("max_in_flight.latency_target", self.latency_target),
            ("max_in_flight.window", self.window),
        ] {
            if duration.is_zero() {
                return Err(ConfigError::new(field, duration, "more than 0 s"));
            }
        }
        if self.tolerated_percent > 99 {
            let field = "max_in_flight.tolerated_percent";
            return Err(ConfigError::new(field, self.tolerated_percent, "0 to 99"));
        }
        if !(1..=99).contains(&self.decrease_percent) {
            let field = "max_in_flight.decrease_percent";
            return Err(ConfigError::new(field, self.decrease_percent, "1 to 99"));
        }
        Ok(())
    }
}

/// Whether a semaphore can have so many places.
fn within(field: &'static str, limit: usize) -> Result<(), ConfigError> {
    if (1..=Semaphore::MAX_PERMITS).contains(&limit) {
        return Ok(());
    }
    let allowed = format_args!("1 to {}", Semaphore::MAX_PERMITS);
    Err(ConfigError::new(field, limit, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    fn wrong_adaptive(change: impl FnOnce(&mut AdaptiveConfig)) -> String {
        let mut adaptive = AdaptiveConfig::default();
        change(&mut adaptive);
        wrong(|config| config.max_in_flight = Limit::Adaptive(adaptive))
    }

    #[test]
    fn what_cannot_work_is_one_line_that_names_the_field() {
        assert_line(
            &wrong(|c| c.max_in_flight = Limit::Fixed(0)),
            "max_in_flight is 0; allowed is 1 to",
        );
        assert_line(
            &wrong(|c| c.max_in_flight = Limit::Fixed(usize::MAX)),
            "max_in_flight is 18446744073709551615; allowed is 1 to",
        );
        assert_line(
            &wrong(|c| c.max_wait = Duration::ZERO),
            "max_wait is 0ns; allowed is more than 0 s",
        );
        assert_line(
            &wrong_adaptive(|a| a.min = 0),
            "max_in_flight.min is 0; allowed is 1 to",
        );
        assert_line(
            &wrong_adaptive(|a| a.max = 1),
            "max_in_flight.max is 1; allowed is at least min, which is 4",
        );
        assert_line(
            &wrong_adaptive(|a| a.initial = 1000),
            "max_in_flight.initial is 1000; allowed is 4 to 200",
        );
        assert_line(
            &wrong_adaptive(|a| a.latency_target = Duration::ZERO),
            "max_in_flight.latency_target is 0ns; allowed is more than 0 s",
        );
        assert_line(
            &wrong_adaptive(|a| a.window = Duration::ZERO),
            "max_in_flight.window is 0ns; allowed is more than 0 s",
        );
        assert_line(
            &wrong_adaptive(|a| a.tolerated_percent = 100),
            "max_in_flight.tolerated_percent is 100; allowed is 0 to 99",
        );
        assert_line(
            &wrong_adaptive(|a| a.decrease_percent = 101),
            "max_in_flight.decrease_percent is 101; allowed is 1 to 99",
        );
    }

    fn assert_line(message: &str, start: &str) {
        assert!(message.starts_with(start), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn the_defaults_and_no_waiting_at_all_can_work() {
        Config::default().validate().unwrap();
        AdaptiveConfig::default().validate().unwrap();
        let none_waits = Config {
            max_waiting: 0,
            max_wait: Duration::ZERO,
            ..Config::default()
        };
        none_waits.validate().unwrap();
    }
}
