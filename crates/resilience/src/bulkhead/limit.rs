//! How many places the semaphore has, and how that changes while it is in use.

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::adaptive::{Aimd, Sample};
use super::{AdaptiveConfig, Limit};
use crate::classify::Outcome;

/// The limit in force.
#[derive(Debug)]
pub(super) enum Places {
    Fixed(usize),
    /// One short lock at the end of a call; a fixed limit has none, and no clock.
    Moving(Mutex<Moving>),
}

#[derive(Debug)]
pub(super) struct Moving {
    aimd: Aimd,
    /// Places that exist above the limit, since those inside cannot be sent away: each is given up when its call
    /// ends.
    surplus: usize,
}

impl Places {
    pub(super) fn new(limit: Limit) -> Self {
        match limit {
            Limit::Fixed(limit) => Self::Fixed(limit),
            Limit::Adaptive(config) => Self::Moving(Mutex::new(Moving::new(config))),
        }
    }

    /// How many may be inside.
    pub(super) fn limit(&self) -> usize {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Moving(moving) => lock(moving).aimd.limit(),
        }
    }

    /// Places that are taken.
    pub(super) fn taken(&self, semaphore: &Semaphore) -> usize {
        let places = match self {
            Self::Fixed(limit) => *limit,
            Self::Moving(moving) => lock(moving).places(),
        };
        places.saturating_sub(semaphore.available_permits())
    }

    /// The time that a call begins, if anybody wants to know.
    pub(super) fn now(&self) -> Option<Instant> {
        match self {
            Self::Fixed(_) => None,
            Self::Moving(_) => Some(Instant::now()),
        }
    }

    /// A call that began then has ended; its place is not free yet.
    pub(super) fn record(&self, began: Instant, outcome: Outcome, semaphore: &Semaphore) {
        let Self::Moving(moving) = self else { return };
        let added = lock(moving).record(began, outcome, semaphore);
        // After the lock: it wakes tasks, and a waker may run anything.
        semaphore.add_permits(added);
    }

    /// A place is free again.
    pub(super) fn release(&self, semaphore: &Semaphore) {
        let given_up = match self {
            Self::Fixed(_) => false,
            Self::Moving(moving) => lock(moving).give_up_one(),
        };
        if !given_up {
            semaphore.add_permits(1);
        }
    }
}

impl Moving {
    fn new(config: AdaptiveConfig) -> Self {
        Self {
            aimd: Aimd::new(config, Instant::now()),
            surplus: 0,
        }
    }

    fn places(&self) -> usize {
        self.aimd.limit() + self.surplus
    }

    /// Returns the places to add to the semaphore.
    fn record(&mut self, began: Instant, outcome: Outcome, semaphore: &Semaphore) -> usize {
        let old = self.aimd.limit();
        self.aimd.record(Sample {
            began,
            ended: Instant::now(),
            outcome,
            at_limit: semaphore.available_permits() == 0,
        });
        let new = self.aimd.limit();
        if new < old {
            let removed = semaphore.forget_permits(old - new);
            self.surplus += old - new - removed;
            return 0;
        }
        // A place that was to be given up is kept before a new one is made.
        let kept = self.surplus.min(new - old);
        self.surplus -= kept;
        new - old - kept
    }

    fn give_up_one(&mut self) -> bool {
        let surplus = self.surplus > 0;
        self.surplus -= usize::from(surplus);
        surplus
    }
}

/// No code under this lock can panic half way.
fn lock(moving: &Mutex<Moving>) -> MutexGuard<'_, Moving> {
    moving.lock()
}
