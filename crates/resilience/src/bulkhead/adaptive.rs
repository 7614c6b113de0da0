//! A limit that finds itself: additive increase, multiplicative decrease (AIMD).
//!
//! While the limit is reached and answers come in time, it grows by one place a window; when too many answers are
//! late or failures, it shrinks by a tenth. That is TCP's congestion control with calls for packets, as in Netflix's
//! `concurrency-limits`.
//!
//! Their other algorithm, the gradient of latency over its long-term average, needs no target. It was turned down
//! for what the average does: under lasting overload it rises to the overloaded latency, which then counts as
//! normal, and the limit climbs again. And a caller that starts while a queue stands never saw the dependency
//! without it. AIMD against a stated latency has neither fault, and callers that share a dependency end at equal
//! shares without knowing of each other (Chiu and Jain, 1989). What it asks for: a latency that is called slow.

use std::time::Duration;

use tokio::time::Instant;

use super::config::within;
use crate::ConfigError;
use crate::classify::Outcome;

/// Answers that a decision needs at least. With fewer, one straggler would be a tenth.
const MIN_SAMPLES: u32 = 10;

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

/// The end of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Outcome,
    /// Whether it ended while all places were taken, its own among them.
    pub(super) at_limit: bool,
}

/// The limit and the window that decides its next move. Knows no lock and no clock, so that tests can simulate
/// hours.
#[derive(Debug)]
pub(super) struct Aimd {
    config: AdaptiveConfig,
    limit: usize,
    window_began: Instant,
    samples: u32,
    bad: u32,
    reached: bool,
}

impl Aimd {
    pub(super) fn new(config: AdaptiveConfig, now: Instant) -> Self {
        Self {
            limit: config.initial,
            config,
            window_began: now,
            samples: 0,
            bad: 0,
            reached: false,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes in the end of a call; the limit may have moved afterwards.
    pub(super) fn record(&mut self, sample: Sample) {
        if sample.began < self.window_began {
            // It began under another limit: to count it would punish one queue twice, as TCP would by shrinking
            // for each packet of one loss.
            return;
        }
        let late = sample.ended.duration_since(sample.began) > self.config.latency_target;
        if sample.outcome == Outcome::Ignored && !late {
            // Given up before its time. Given up after it, it was late, whatever the answer would have been.
            return;
        }
        self.samples += 1;
        self.bad += u32::from(late || sample.outcome == Outcome::Failure);
        self.reached |= sample.at_limit;
        let lasted = sample.ended.duration_since(self.window_began);
        if self.samples >= MIN_SAMPLES && lasted >= self.config.window {
            self.close_window(sample.ended);
        }
    }

    fn close_window(&mut self, now: Instant) {
        if self.bad * 100 > self.samples * u32::from(self.config.tolerated_percent) {
            self.limit = self.decreased();
        } else if self.reached {
            // A limit that nobody reached is not known to be too low; it would drift to `max` overnight.
            self.limit = (self.limit + 1).min(self.config.max);
        }
        self.window_began = now;
        self.samples = 0;
        self.bad = 0;
        self.reached = false;
    }

    fn decreased(&self) -> usize {
        let keep = 100 - usize::from(self.config.decrease_percent);
        // Rounded down, so it falls by one at least. In two parts, so that no limit overflows.
        let kept = self.limit / 100 * keep + self.limit % 100 * keep / 100;
        kept.max(self.config.min)
    }
}

#[cfg(test)]
mod tests;
