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

use tokio::time::Instant;

use super::AdaptiveConfig;
use crate::classify::Outcome;

/// Answers that a decision needs at least. With fewer, one straggler would be a tenth.
const MIN_SAMPLES: u32 = 10;

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
