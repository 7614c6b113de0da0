//! An adaptive limit: additive increase, multiplicative decrease (AIMD).
//!
//! While the limit is reached and answers arrive in time, it grows by one place a window; when too many answers are
//! late or failures, it shrinks by a tenth. That is TCP's congestion control with calls instead of packets, as in
//! Netflix's `concurrency-limits`.
//!
//! Their other algorithm, the gradient of latency over its long-term average, needs no target. It was rejected because
//! of that average: under lasting overload it rises to the overloaded latency, which then counts as normal, and the
//! limit grows again. And a caller that starts while there is a queue never measures the dependency without it. AIMD
//! with a configured target latency has neither problem, and callers that share a dependency converge to equal shares
//! without knowing of each other (Chiu and Jain, 1989). The cost: a target latency must be configured.

use tokio::time::Instant;

use super::AdaptiveConfig;
use crate::classify::Outcome;

/// The fewest answers for a decision. With fewer, a single slow one would already be a tenth.
const MIN_SAMPLES: u32 = 10;

/// The end of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Outcome,
    /// Whether all places, including its own, were taken when it ended.
    pub(super) at_limit: bool,
}

/// The limit and the window that decides its next change. It has no lock and no clock, so that tests can simulate
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

    /// Records the end of a call, which may change the limit.
    pub(super) fn record(&mut self, sample: Sample) {
        if sample.began < self.window_began {
            // It began under another limit. Counting it would punish one queue twice, as if TCP shrank its window for
            // each packet of one loss.
            return;
        }
        let late = sample.ended.duration_since(sample.began) > self.config.latency_target;
        if sample.outcome == Outcome::Ignored && !late {
            // Dropped before the target latency. If dropped after it, the call counts as late, whatever its result
            // would have been.
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
            // A limit that was never reached is not known to be too low; without this check it would drift to `max`
            // overnight.
            self.limit = (self.limit + 1).min(self.config.max);
        }
        self.window_began = now;
        self.samples = 0;
        self.bad = 0;
        self.reached = false;
    }

    fn decreased(&self) -> usize {
        let keep = 100 - usize::from(self.config.decrease_percent);
        // Rounded down, so that it falls by at least one. Computed in two parts, so that no limit overflows.
        let kept = self.limit / 100 * keep + self.limit % 100 * keep / 100;
        kept.max(self.config.min)
    }
}

#[cfg(test)]
mod tests;
