//! The budget of an account at an address: each failure increases the delay before the next attempt.

use std::time::Duration;

use super::slots::Slots;

/// Failures before the first delay, since users try several passwords and mistype them.
pub const FREE_FAILURES: u32 = 10;
/// The first delay; it doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay: 1,440 guesses a day. A longer one would also lock out the owner, if the address is theirs.
pub const DELAY_MAX: Duration = Duration::from_secs(60);
/// The longest delay for an address with standing.
pub const STANDING_DELAY_MAX: Duration = Duration::from_secs(10);
/// After this time without a failure, earlier ones are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);

/// The failures are in the upper bits of a slot, the time of the last one in the lower.
const TIME_BITS: u32 = 48;

pub(super) struct Pairs(Slots);

impl Pairs {
    pub(super) fn new() -> Self {
        Self(Slots::new())
    }

    /// How long the next attempt has to wait; `None` if not at all.
    pub(super) fn wait(&self, key: u64, now_ms: u64, standing: bool) -> Option<Duration> {
        let (failures, last_ms) = self.recent(key, now_ms);
        let doublings = failures.checked_sub(FREE_FAILURES)?;
        let most = if standing {
            STANDING_DELAY_MAX
        } else {
            DELAY_MAX
        };
        let delay = FIRST_DELAY
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(most);
        delay
            .checked_sub(Duration::from_millis(now_ms.saturating_sub(last_ms)))
            .filter(|wait| !wait.is_zero())
    }

    /// Whether there was no recent failure.
    pub(super) fn is_clean(&self, key: u64, now_ms: u64) -> bool {
        self.recent(key, now_ms).0 == 0
    }

    pub(super) fn failed(&self, key: u64, now_ms: u64) {
        self.0.update(key, |slot| {
            let (failures, _) = unpack(slot, now_ms);
            u64::from(failures.saturating_add(1).min(u32::from(u16::MAX))) << TIME_BITS
                | now_ms & ((1 << TIME_BITS) - 1)
        });
    }

    pub(super) fn forget(&self, key: u64) {
        self.0.set(key, 0);
    }

    fn recent(&self, key: u64, now_ms: u64) -> (u32, u64) {
        unpack(self.0.get(key), now_ms)
    }
}

/// The failures that are not forgotten, and the time of the last one.
fn unpack(slot: u64, now_ms: u64) -> (u32, u64) {
    let last_ms = slot & ((1 << TIME_BITS) - 1);
    let old = Duration::from_millis(now_ms.saturating_sub(last_ms)) >= FORGOTTEN_AFTER;
    // The upper sixteen bits.
    let failures = (slot >> TIME_BITS) as u32;
    (if old { 0 } else { failures }, last_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_end() {
        let pairs = Pairs::new();
        for _ in 0..FREE_FAILURES {
            assert_eq!(pairs.wait(1, 1000, false), None);
            pairs.failed(1, 1000);
        }
        let delays: Vec<_> = (0..9)
            .map(|_| {
                let delay = pairs.wait(1, 1000, false).unwrap().as_secs();
                pairs.failed(1, 1000);
                delay
            })
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pairs.wait(1, 1000, true), Some(STANDING_DELAY_MAX));
        assert_eq!(pairs.wait(1, 31_000, false), Some(Duration::from_secs(30)));
        assert_eq!(pairs.wait(1, 61_000, false), None);
        assert!(!pairs.is_clean(1, 61_000));
        assert!(pairs.is_clean(1, 1000 + 15 * 60_000));
        pairs.forget(1);
        assert!(pairs.is_clean(1, 1000));
    }
}
