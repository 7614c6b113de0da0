//! The sliding window of a budget: the deposits and withdrawals of the last few slots of time, without a lock.
//!
//! Each slot is one word: its epoch in the upper half, its balance in the lower. The first booking in a new epoch
//! replaces the word of the expired one in a single step; so no task has to advance the window, and no booking can be
//! lost between clearing and adding.
//!
//! The loom model includes this file (`tests/loom/retry_budget.rs`), so it takes its atomics from `super::sync`.

use super::sync::{AtomicU64, Ordering, fence};

#[derive(Debug)]
pub(super) struct Window<const SLOTS: usize> {
    slots: [AtomicU64; SLOTS],
    /// The balance of an empty window. Withdrawals expire as well, so that this much is free in each length of the
    /// window.
    free: i64,
}

/// The fields of a slot.
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

    /// Adds a deposit.
    pub(super) fn deposit(&self, epoch: u32, amount: u32) {
        self.book(epoch, amount.cast_signed());
    }

    /// Withdraws `amount` if the window holds it; never more than it holds, however many threads try at once.
    ///
    /// It books first and checks afterwards: of two concurrent bookings, the one whose fence comes second sees both.
    /// The alternative, checking before booking, lets both take the last token. In return two threads can each see the
    /// other and both be refused: an error on the safe side.
    pub(super) fn withdraw(&self, epoch: u32, amount: u32) -> bool {
        // An exhausted budget is only read, so that the callers of a dead dependency do not contend for its cache line.
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

    /// The balance of the window; negative when the deposits behind earlier withdrawals have expired.
    pub(super) fn balance(&self, epoch: u32) -> i64 {
        let in_window = |slot: &AtomicU64| {
            let slot = Slot::unpack(slot.load(Ordering::Acquire));
            // A slot of a later epoch belongs to a thread that read the clock later.
            let age = epoch.saturating_sub(slot.epoch) as usize;
            if age < SLOTS {
                i64::from(slot.balance)
            } else {
                0
            }
        };
        self.free + self.slots.iter().map(in_window).sum::<i64>()
    }

    /// Adds `amount` to the slot of `epoch` and returns the epoch of the booking: a later one if this thread was
    /// suspended for a whole turn of the window.
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

    /// Undoes a booking, unless it has expired in the meantime.
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
