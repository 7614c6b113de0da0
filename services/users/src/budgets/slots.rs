//! Tables of a fixed size, which invented addresses and emails cannot make grow.

use std::sync::atomic::{AtomicU64, Ordering};

/// The slots of one table: 512 KiB.
const SLOTS: usize = 1 << 16;

/// A number for each key. Two keys may share a slot; keys are hashes that are seeded at random, so that nobody can
/// choose which key to share one with. The alternative, evicting the oldest of many keys, would let attackers evict
/// their own record.
pub(super) struct Slots(Box<[AtomicU64]>);

impl Slots {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn get(&self, key: u64) -> u64 {
        self.slot(key).load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, key: u64, value: u64) {
        self.slot(key).store(value, Ordering::Relaxed);
    }

    pub(super) fn update(&self, key: u64, new: impl Fn(u64) -> u64) {
        let update = |old| Some(new(old));
        // It cannot fail, since there is a new value for each old one.
        let _ = self
            .slot(key)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    fn slot(&self, key: u64) -> &AtomicU64 {
        // The remainder is smaller than the length.
        &self.0[(key % SLOTS as u64) as usize]
    }
}
