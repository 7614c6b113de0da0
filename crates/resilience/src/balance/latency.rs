//! The latency of an endpoint: a peak-sensitive moving average.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How much earlier than the last answer the reader of an average may have looked at the clock, in milliseconds: it may
/// have been suspended since, for less than this.
const BEHIND_MS: u32 = 60_000;

/// A peak-sensitive, exponentially weighted moving average of latencies (Finagle's peak EWMA): an answer slower than
/// the average replaces it, a faster one lowers it, by a weight that depends on the time since the last answer.
///
/// The average (microseconds, `f32`) and the time of the last answer (milliseconds, `u32`) share one word, so that they
/// are always read together and without a lock; tower's version takes a mutex for each read. The time wraps after 49
/// days without an answer; then the average is used for longer than it should be, once.
#[derive(Debug, Default)]
pub(super) struct Latency {
    word: AtomicU64,
}

#[derive(Clone, Copy)]
struct Average {
    us: f32,
    at_ms: u32,
}

impl Average {
    fn unpack(word: u64) -> Option<Self> {
        (word != 0).then(|| Self {
            us: f32::from_bits((word >> 32) as u32),
            at_ms: word as u32,
        })
    }

    fn pack(self) -> u64 {
        (u64::from(self.us.to_bits()) << 32) | u64::from(self.at_ms)
    }

    /// The remaining weight at `now_ms`: 1 at once, 1/e after the decay time. It is 1 also if the last answer seems to
    /// be from later: another thread read the clock after this one and was faster. The difference would wrap to 49
    /// days, after which nothing is left of a slow endpoint's average.
    fn weight(self, now_ms: u64, decay_ms: f32) -> f32 {
        match (now_ms as u32).wrapping_sub(self.at_ms) {
            0 => 1.0,
            elapsed_ms if elapsed_ms > u32::MAX - BEHIND_MS => 1.0,
            elapsed_ms => (-(elapsed_ms as f32) / decay_ms).exp(),
        }
    }
}

impl Latency {
    /// The average, or `None` before the first answer. It fades while there are no answers, so that an endpoint that
    /// was slow once is tried again.
    pub(super) fn faded_us(&self, now_ms: u64, decay_ms: f32) -> Option<f32> {
        let average = Average::unpack(self.word.load(Relaxed))?;
        Some(average.us * average.weight(now_ms, decay_ms))
    }

    /// The average at the time of the last answer.
    pub(super) fn us(&self) -> Option<f32> {
        Average::unpack(self.word.load(Relaxed)).map(|average| average.us)
    }

    /// Records an answer that took `us`.
    pub(super) fn observe(&self, us: f32, now_ms: u64, decay_ms: f32) {
        self.change(
            |average| {
                let us = match average {
                    Some(average) if us < average.us => {
                        let weight = average.weight(now_ms, decay_ms);
                        average.us * weight + us * (1.0 - weight)
                    }
                    _ => us,
                };
                Some(us)
            },
            now_ms,
        );
    }

    /// Records that an answer would have taken at least `us`. That can show that an endpoint is slow, but not that it
    /// is fast; an endpoint that never answered is assumed to need at least `unknown_us`.
    pub(super) fn observe_at_least(&self, us: f32, unknown_us: f32, now_ms: u64) {
        self.change(
            |average| match average {
                None => Some(us.max(unknown_us)),
                Some(average) => (us > average.us).then_some(us),
            },
            now_ms,
        );
    }

    /// Restarts the average with an answer that took `us`.
    pub(super) fn restart(&self, us: f32, now_ms: u64) {
        let at_ms = now_ms as u32;
        self.word.store(Average { us, at_ms }.pack(), Relaxed);
    }

    fn change(&self, to: impl Fn(Option<Average>) -> Option<f32>, now_ms: u64) {
        let at_ms = now_ms as u32;
        // Fails only if there is nothing to change.
        let _ = self.word.fetch_update(Relaxed, Relaxed, |word| {
            let us = to(Average::unpack(word))?;
            Some(Average { us, at_ms }.pack())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY_MS: f32 = 10_000.0;

    #[test]
    fn a_peak_counts_at_once_and_comes_down_slowly() {
        let latency = Latency::default();
        latency.observe(5_000.0, 0, DECAY_MS);
        latency.observe(100_000.0, 1, DECAY_MS);
        assert_eq!(latency.us(), Some(100_000.0));
        latency.observe(5_000.0, 2, DECAY_MS);
        assert!(latency.us() > Some(99_000.0));
        for ms in 3..30_000 {
            latency.observe(5_000.0, ms, DECAY_MS);
        }
        let us = latency.us().unwrap();
        assert!((5_000.0..11_000.0).contains(&us), "{us}");
    }

    #[test]
    fn answers_within_one_tick_still_raise_it() {
        let latency = Latency::default();
        latency.observe(10.0, 7, DECAY_MS);
        latency.observe(20.0, 7, DECAY_MS);
        latency.observe(10.0, 7, DECAY_MS);
        assert_eq!(latency.us(), Some(20.0));
    }

    #[test]
    fn it_fades_while_nothing_is_heard_without_being_forgotten() {
        let latency = Latency::default();
        assert_eq!(latency.faded_us(1, DECAY_MS), None);
        latency.observe(100_000.0, 0, DECAY_MS);
        let after_decay = latency.faded_us(10_000, DECAY_MS).unwrap();
        assert!((36_000.0..37_500.0).contains(&after_decay), "{after_decay}");
        assert_eq!(latency.us(), Some(100_000.0));
    }

    #[test]
    fn a_call_given_up_never_lowers_it() {
        let latency = Latency::default();
        latency.observe_at_least(1_000.0, 30_000.0, 0);
        assert_eq!(latency.us(), Some(30_000.0), "unknown is not fast");
        latency.observe_at_least(1_000.0, 30_000.0, 5_000);
        assert_eq!(latency.us(), Some(30_000.0));
        latency.observe_at_least(50_000.0, 30_000.0, 5_000);
        assert_eq!(latency.us(), Some(50_000.0));
    }

    /// Two threads read the clock, and the one that read it first comes last.
    #[test]
    fn who_comes_late_neither_forgets_nor_overlooks_a_peak() {
        let latency = Latency::default();
        latency.observe(100_000.0, 10, DECAY_MS);
        assert_eq!(latency.faded_us(9, DECAY_MS), Some(100_000.0));
        latency.observe(5_000.0, 9, DECAY_MS);
        assert_eq!(latency.us(), Some(100_000.0));
    }

    #[test]
    fn the_clock_may_wrap() {
        let latency = Latency::default();
        let before = u64::from(u32::MAX) - 10;
        latency.observe(100.0, before, DECAY_MS);
        let faded = latency.faded_us(before + 20, DECAY_MS).unwrap();
        assert!((99.0..100.0).contains(&faded), "{faded}");
    }
}
