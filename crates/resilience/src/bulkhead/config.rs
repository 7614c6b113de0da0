//! How many calls may be inside, and how many may wait.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ConfigError;
use crate::deadline::Deadline;

/// How many calls may be inside, and how many may wait for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The most calls inside at once. By Little's law a dependency that answers `r` calls a second in `t` seconds each
    /// has `r · t` of them in progress; choose a small multiple of that.
    pub max_in_flight: Limit,
    /// The most calls that wait for a place. 0: a call without a place is refused at once.
    pub max_waiting: usize,
    /// The longest time that each of them waits. An earlier deadline ends the wait earlier.
    pub max_wait: Duration,
}

/// The limit of calls inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// A fixed limit; at least 1.
    Fixed(usize),
    /// A limit between bounds that adapts to measured latency and failures.
    Adaptive(AdaptiveConfig),
}

/// 64 inside are enough for 1,280 calls a second at 50 ms; as many again may wait for a tenth of a second, which is
/// long enough for a burst and short compared with any deadline.
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
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first invalid field.
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

    /// The longest wait of the current call: a place after its deadline would be useless to it.
    pub(super) fn longest_wait(&self) -> Duration {
        Deadline::current().map_or(self.max_wait, |d| d.remaining().min(self.max_wait))
    }
}

/// How a limit adapts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdaptiveConfig {
    /// The initial limit, before any measurement.
    pub initial: usize,
    /// The lower bound; at least 1, so that there is always something to measure.
    pub min: usize,
    /// The upper bound.
    pub max: usize,
    /// An answer that takes longer is a sign of overload. A good start is twice the usual 99th percentile.
    pub latency_target: Duration,
    /// The shortest time between two changes. A window lasts longer while it has fewer than 10 answers to calls that
    /// began in it, since only those show the effect of the present limit.
    pub window: Duration,
    /// The limit shrinks when more than this share of a window's answers were late or failed: 0 to 99 %.
    pub tolerated_percent: u8,
    /// By how much it shrinks: 1 to 99 %, and by at least one place.
    pub decrease_percent: u8,
}

/// Starts at 20 and shrinks by 10 %, like Netflix's library.
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
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first invalid field.
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

/// Checks that a semaphore supports this number of places.
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
