//! The sliding window of a budget: what was paid in and taken out in the last few slots of time, without a lock.
//!
//! Each slot is one word: the number of its epoch above, its balance below. Whoever comes first in a new epoch
//! replaces the word of the epoch that expired, in one step with the first booking; so nothing needs to turn the
//! window, and no booking can fall between clearing and adding.
//!
//! This file is included by its loom model (`tests/loom/retry_budget.rs`), hence the atomics from `super::sync`.

use super::sync::{AtomicU64, Ordering, fence};

#[derive(Debug)]
pub(super) struct Window<const SLOTS: usize> {
    slots: [AtomicU64; SLOTS],
    /// The balance of an empty window. Taken amounts expire as well, so this much is free in each length of the
    /// window.
    free: i64,
}

/// What a slot holds, unpacked.
#[derive(Clone, Copy)]
struct Slot {
    epoch: u32,
    balance: i32,
}

impl Slot {
    fn unpack(word: u64) -> Self {
        Self {
            epoch: (word >> 32) as u32,
            balance: word as u32 as i32,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(self.balance as u32)
    }
}

impl<const SLOTS: usize> Window<SLOTS> {
    pub(super) fn new(free: i64) -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            free,
        }
    }

    /// Pays in.
    pub(super) fn deposit(&self, epoch: u32, amount: u32) {
        self.book(epoch, amount.cast_signed());
    }

    /// Takes `amount` out if the window holds it; never more than it holds, however many try at once.
    ///
    /// It books first and looks afterwards: of two that book at once, the one whose fence comes second sees both. The
    /// alternative, look and then book, lets both take the last token. In return two can each see the other
    /// and both be refused: an error to the safe side.
    pub(super) fn withdraw(&self, epoch: u32, amount: u32) -> bool {
        // An exhausted budget is only read, so that a dead dependency's callers do not fight for its cache line.
        if self.balance(epoch) < i64::from(amount) {
            return false;
        }
        let booked = self.book(epoch, -amount.cast_signed());
        fence(Ordering::SeqCst);
        if self.balance(booked) >= 0 {
            return true;
        }
        self.give_back(booked, amount.cast_signed());
        false
    }

    /// What the window holds; negative after more was taken than what is left of it has paid for.
    pub(super) fn balance(&self, epoch: u32) -> i64 {
        let in_window = |slot: &AtomicU64| {
            let slot = Slot::unpack(slot.load(Ordering::Acquire));
            // A slot of a later epoch is of a thread whose look at the clock was later than ours.
            let age = epoch.saturating_sub(slot.epoch) as usize;
            if age < SLOTS {
                i64::from(slot.balance)
            } else {
                0
            }
        };
        self.free + self.slots.iter().map(in_window).sum::<i64>()
    }

    /// Adds `amount` to the slot of `epoch`, and says in which epoch it ended: a later one if this thread was held
    /// up for a whole turn of the window.
    fn book(&self, epoch: u32, amount: i32) -> u32 {
        let slot = &self.slots[epoch as usize % SLOTS];
        let mut seen = slot.load(Ordering::Relaxed);
        loop {
            let old = Slot::unpack(seen);
            let new = if old.epoch >= epoch {
                Slot {
                    balance: old.balance.saturating_add(amount),
                    ..old
                }
            } else {
                Slot {
                    epoch,
                    balance: amount,
                }
            };
            match exchange(slot, seen, new) {
                Ok(()) => return new.epoch,
                Err(now) => seen = now,
            }
        }
    }

    /// Undoes a booking, unless it expired in the meantime.
    fn give_back(&self, booked: u32, amount: i32) {
        let slot = &self.slots[booked as usize % SLOTS];
        let mut seen = slot.load(Ordering::Relaxed);
        loop {
            let old = Slot::unpack(seen);
            if old.epoch != booked {
                return;
            }
            let balance = old.balance.saturating_add(amount);
            match exchange(slot, seen, Slot { balance, ..old }) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
    }
}

fn exchange(slot: &AtomicU64, seen: u64, new: Slot) -> Result<(), u64> {
    slot.compare_exchange_weak(seen, new.pack(), Ordering::AcqRel, Ordering::Relaxed)
        .map(drop)
}
