//! What becomes of a message after a try: the same on every queue.

use std::time::Duration;

use backoff::Backoff;

use crate::attempt::Outcome;
use crate::observe::{Consumed, Settled};
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

/// Counts and logs a verdict that was stored.
pub(crate) fn note(consumed: &Consumed, queue: &str, attempt: u32, verdict: &Verdict) {
    match verdict {
        Verdict::Acknowledge => consumed.settled(Settled::Done, attempt, 1),
        Verdict::Retry { reason, delay } => {
            consumed.settled(Settled::Retried, attempt, 1);
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
            consumed.settled(Settled::Parked, attempt, 1);
            tracing::error!(
                dead_letter = true,
                queue,
                attempt,
                reason,
                "a message was moved to the dead-letter queue"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What docs/patterns/message-queue.md says.
    #[test]
    fn by_default_a_message_is_tried_for_half_a_minute_to_a_minute() {
        let options = ConsumeOptions::default();
        let delays =
            (1..options.max_attempts).map(|attempts| backoff(&options, attempts).ceiling());
        let longest: Duration = delays.sum();
        assert_eq!(longest, Duration::from_millis(63_500));
    }

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
