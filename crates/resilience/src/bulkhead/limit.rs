//! The number of places of the semaphore, which can change while it is in use.

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::adaptive::{Aimd, Sample};
use super::{AdaptiveConfig, Limit};
use crate::classify::Outcome;

/// The present limit.
#[derive(Debug)]
pub(super) enum Places {
    Fixed(usize),
    /// Takes a short lock at the end of each call; a fixed limit needs neither lock nor clock.
    Moving(Mutex<Moving>),
}

#[derive(Debug)]
pub(super) struct Moving {
    aimd: Aimd,
    /// Places above the limit, since calls inside cannot be interrupted: each is removed when its call ends.
    surplus: usize,
}

impl Places {
    pub(super) fn new(limit: Limit) -> Self {
        match limit {
            Limit::Fixed(limit) => Self::Fixed(limit),
            Limit::Adaptive(config) => Self::Moving(Mutex::new(Moving::new(config))),
        }
    }

    /// The limit of calls inside.
    pub(super) fn limit(&self) -> usize {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Moving(moving) => lock(moving).aimd.limit(),
        }
    }

    /// The number of places that are taken.
    pub(super) fn taken(&self, semaphore: &Semaphore) -> usize {
        let places = match self {
            Self::Fixed(limit) => *limit,
            Self::Moving(moving) => lock(moving).places(),
        };
        places.saturating_sub(semaphore.available_permits())
    }

    /// The start time of a call, if an adaptive limit needs it.
    pub(super) fn now(&self) -> Option<Instant> {
        match self {
            Self::Fixed(_) => None,
            Self::Moving(_) => Some(Instant::now()),
        }
    }

    /// Records the end of a call that began at `began`, before its place is released.
    pub(super) fn record(&self, began: Instant, outcome: Outcome, semaphore: &Semaphore) {
        let Self::Moving(moving) = self else { return };
        let added = lock(moving).record(began, outcome, semaphore);
        // Called after the lock, since it wakes tasks, and a waker may run any code.
        semaphore.add_permits(added);
    }

    /// Releases a place.
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
        // Places that were to be removed are kept before new ones are created.
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

/// No code under this lock can panic.
fn lock(moving: &Mutex<Moving>) -> MutexGuard<'_, Moving> {
    moving.lock()
}
