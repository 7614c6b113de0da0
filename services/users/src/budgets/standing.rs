//! The accounts that were signed in to recently, with their addresses.

use std::time::Duration;

use super::slots::Slots;

/// How long a sign-in gives standing.
const LASTS: Duration = Duration::from_secs(7 * 86_400);

/// A slot holds a part of the hash of account and address in its upper half, and the second of the sign-in in the
/// lower: two pairs in the same slot replace each other, but are not confused.
pub(super) struct Standing(Slots);

impl Standing {
    pub(super) fn new() -> Self {
        Self(Slots::new())
    }

    pub(super) fn has(&self, key: u64, now_ms: u64) -> bool {
        let slot = self.0.get(key);
        let since = Duration::from_secs(slot & u64::from(u32::MAX));
        slot >> 32 == tag(key) && Duration::from_millis(now_ms).saturating_sub(since) < LASTS
    }

    pub(super) fn give(&self, key: u64, now_ms: u64) {
        // Enough for 136 years.
        self.0
            .set(key, tag(key) << 32 | (now_ms / 1000) & u64::from(u32::MAX));
    }
}

/// Never 0, the value of an empty slot. Other bits of the key choose the slot.
fn tag(key: u64) -> u64 {
    (key >> 32) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_a_while_and_for_one_only() {
        let standing = Standing::new();
        let (key, same_slot) = (0x1234_5679_0000_0007, 0x9876_5431_0000_0007);
        assert!(!standing.has(key, 0));
        standing.give(key, 5000);
        assert!(standing.has(key, 6000) && !standing.has(same_slot, 6000));
        assert!(!standing.has(key, 5000 + 7 * 86_400_000));
        standing.give(same_slot, 6000);
        assert!(standing.has(same_slot, 6000) && !standing.has(key, 6000));
    }
}
