//! What becomes of a message after a try: the same on every queue.

use std::time::Duration;

use backoff::Backoff;
use metrics::Counter;

use crate::attempt::Outcome;
use crate::{ConsumeOptions, MAX_PANICS};

/// What to do with a message after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Acknowledge,
    Retry { reason: String, delay: Duration },
    Park { reason: String },
}

/// Judges the try number `attempts`, from 1.
pub(crate) fn judge(outcome: Outcome, attempts: u32, options: &ConsumeOptions) -> Verdict {
    let (reason, limit) = match outcome {
        Outcome::Done => return Verdict::Acknowledge,
        Outcome::Permanent(reason) => return Verdict::Park { reason },
        Outcome::Transient(reason) => (reason, options.max_attempts),
        Outcome::Panicked(reason) => (reason, options.max_attempts.min(MAX_PANICS)),
    };
    if attempts >= limit {
        return Verdict::Park { reason };
    }
    Verdict::Retry {
        reason,
        // Equal jitter: its tries are numbered.
        delay: backoff(options, attempts).next_equal(),
    }
}

/// The delays after the n-th try.
pub(crate) fn backoff(options: &ConsumeOptions, attempts: u32) -> Backoff {
    Backoff::new(options.backoff, options.backoff_cap).after(attempts.saturating_sub(1))
}

/// The metrics of a queue, looked up once.
pub(crate) struct Counters {
    done: Counter,
    retried: Counter,
    parked: Counter,
    lost: Counter,
}

impl Counters {
    pub(crate) fn new(queue: &str) -> Self {
        let counter = |outcome: &'static str| metrics::counter!("messaging_handled_total", "source" => queue.to_owned(), "outcome" => outcome);
        Self {
            done: counter("done"),
            retried: counter("retried"),
            parked: counter("parked"),
            lost: counter("lost"),
        }
    }

    /// Counts and logs a verdict that was stored.
    pub(crate) fn count(&self, queue: &str, attempt: u32, verdict: &Verdict) {
        match verdict {
            Verdict::Acknowledge => self.done.increment(1),
            Verdict::Retry { reason, delay } => {
                self.retried.increment(1);
                let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                // No warning: the last attempt ends in the dead-letter queue, which is an error.
                tracing::info!(
                    queue,
                    attempt,
                    delay_ms,
                    reason,
                    "a message failed and is delivered again after a delay"
                );
            }
            Verdict::Park { reason } => {
                self.parked.increment(1);
                tracing::error!(
                    queue,
                    attempt,
                    reason,
                    "a message was moved to the dead-letter queue"
                );
            }
        }
    }

    /// Counts a message that was lost to another consumer, which handles it again.
    pub(crate) fn lost(&self) {
        self.lost.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_after_a_try_is_between_half_and_all_of_its_longest() {
        let options = ConsumeOptions {
            backoff: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(10),
            max_attempts: u32::MAX,
            ..ConsumeOptions::default()
        };
        for (attempts, ceiling) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (40, 10)] {
            let ceiling = Duration::from_secs(ceiling);
            let failed = Outcome::Transient("failed".to_owned());
            let Verdict::Retry { delay, .. } = judge(failed, attempts, &options) else {
                panic!("try {attempts} is not the last one");
            };
            assert!(
                delay >= ceiling / 2 && delay <= ceiling,
                "{attempts}: {delay:?}"
            );
        }
    }
}
