//! A budget that refills continuously (GCRA) and is charged after the fact.

use std::time::Duration;

use super::slots::Slots;

/// One budget for each key. The crate `governor`, which the gateway's limit uses, charges when it admits; here only
/// failures are charged, and whether an attempt failed is known later.
///
/// A slot holds the time at which its budget is full again, in milliseconds.
pub(super) struct Buckets {
    slots: Slots,
    /// How long one charge takes to refill, in milliseconds.
    each_ms: u64,
    burst: u32,
}

impl Buckets {
    /// Budgets for `burst` charges, which take `window` to refill completely.
    pub(super) fn new(burst: u32, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self {
            slots: Slots::new(),
            each_ms: (window_ms / u64::from(burst.max(1))).max(1),
            burst,
        }
    }

    /// How long the whole budget takes to refill.
    pub(super) fn window(&self) -> Duration {
        Duration::from_millis(self.each_ms * u64::from(self.burst))
    }

    /// How long to wait until one more charge is allowed, if `allowed` are allowed at once; `None` if none.
    pub(super) fn wait(&self, key: u64, now_ms: u64, allowed: u32) -> Option<Duration> {
        let used_ms = self.slots.get(key).saturating_sub(now_ms);
        let over = (used_ms + self.each_ms).saturating_sub(u64::from(allowed) * self.each_ms);
        (over > 0).then(|| Duration::from_millis(over))
    }

    /// Charges once. Concurrent attempts may exceed the budget slightly; the excess does not have to be refilled.
    pub(super) fn charge(&self, key: u64, now_ms: u64) {
        let most = now_ms + u64::from(self.burst) * self.each_ms;
        self.slots
            .update(key, |full| (full.max(now_ms) + self.each_ms).min(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_used_up_and_refills_evenly() {
        let buckets = Buckets::new(60, Duration::from_secs(60));
        let mut now = 5000;
        for _ in 0..60 {
            assert_eq!(buckets.wait(1, now, 60), None);
            buckets.charge(1, now);
        }
        assert_eq!(buckets.wait(1, now, 60), Some(Duration::from_secs(1)));
        assert_eq!(buckets.wait(2, now, 60), None, "another's");
        buckets.charge(1, now);
        assert_eq!(buckets.wait(1, now, 60), Some(Duration::from_secs(1)));
        now += 1000;
        assert_eq!(buckets.wait(1, now, 60), None);
        // With a part of the budget less is left.
        assert_eq!(buckets.wait(1, now, 48), Some(Duration::from_secs(12)));
    }
}
