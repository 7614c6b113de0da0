//! Who has signed in well, and from where.

use std::time::Duration;

use super::slots::Slots;

/// How long it is remembered.
const LASTS: Duration = Duration::from_secs(7 * 86_400);

/// A slot holds part of the hash of an account and an address in its upper half, and the second in which it signed in, in
/// the lower: two that meet in a slot push each other out, and are not taken for each other.
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
        // 136 years fit.
        self.0
            .set(key, tag(key) << 32 | (now_ms / 1000) & u64::from(u32::MAX));
    }
}

/// Never 0, which is what an empty slot has there. The bits that choose the slot are others.
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
