//! Whose password is hashed next.
//!
//! A hash takes tens of milliseconds of a core, so a few run at once and the others wait. One line for all would belong to
//! whoever asks most. So they wait by address, and below it by account, and each is served in its turn: whoever sends 169
//! sign-ins a second waits for themselves. Those who have signed in from where they are ([`Class::Known`]) go ahead of
//! strangers, three turns of four: so an honest neighbour is served who shares an attacker's address, and strangers are never
//! shut out.
//!
//! When the line is full, room is made where most wait. A turn is taken when the hash begins, and not by anybody who waits.

mod rotation;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::Block;
use tokio::sync::oneshot;

use crate::origin::Origin;
use rotation::{Queue as _, Rotation};

/// Turns in a row that those go ahead who are known, while strangers wait.
const AHEAD: u32 = 3;

/// Who goes ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Has proved lately that this account is theirs, from this address.
    Known,
    /// Everybody else.
    Stranger,
}

/// Where somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// In which of the two lines.
    pub class: Class,
    /// Behind others of the same address.
    pub origin: Origin,
    /// Behind others for the same account.
    pub account: u64,
}

/// It is not to be expected that this one gets a turn in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

/// The turns, and who waits for one. Clones share them.
#[derive(Clone)]
pub struct Turns(Arc<Inner>);

struct Inner {
    waiting_max: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    known: Line,
    strangers: Line,
    /// Turns that went to those who are known since a stranger had one.
    ahead: u32,
}

type Waiter = oneshot::Sender<Turn>;
type Line = Rotation<Origin, Rotation<u64, VecDeque<Waiter>>>;

/// The right to hash, until it is dropped; then the next one has it.
pub struct Turn {
    /// None once it is over.
    turns: Option<Turns>,
    /// What the hash works in. It goes from turn to turn for as long as somebody waits, and back to the system when nobody
    /// does: taken anew for each hash it would be cleared by the kernel, page by page, each time.
    pub(crate) memory: Vec<Block>,
}

impl Turns {
    /// `at_once` turns at the same time; `waiting_max` may wait.
    #[must_use]
    pub fn new(at_once: usize, waiting_max: usize) -> Self {
        Self(Arc::new(Inner {
            waiting_max,
            state: Mutex::new(State {
                free: at_once,
                known: Line::default(),
                strangers: Line::default(),
                ahead: 0,
            }),
        }))
    }

    /// Waits for a turn, at most for `patience`. Who leaves does not wait any more.
    ///
    /// # Errors
    /// [`Crowded`] when too many wait already, at once, or when it takes too long.
    pub async fn take(&self, lane: Lane, patience: Duration) -> Result<Turn, Crowded> {
        let turn = {
            let mut state = self.state();
            if state.free > 0 {
                // Then nobody waits.
                state.free -= 1;
                return Ok(Turn {
                    turns: Some(self.clone()),
                    memory: Vec::new(),
                });
            }
            state.enter(lane, self.0.waiting_max)?
        };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            // Given up for another's sake, or too late.
            Ok(Err(_)) | Err(_) => Err(Crowded),
        }
    }

    /// How many wait, those included who have just left.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state();
        state.known.len() + state.strangers.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn line(&mut self, class: Class) -> &mut Line {
        match class {
            Class::Known => &mut self.known,
            Class::Stranger => &mut self.strangers,
        }
    }

    fn enter(&mut self, lane: Lane, max: usize) -> Result<oneshot::Receiver<Turn>, Crowded> {
        if self.known.len() + self.strangers.len() >= max {
            self.make_room(lane, max)?;
        }
        let (waiter, turn) = oneshot::channel();
        let line = self.line(lane.class);
        line.of(lane.origin).of(lane.account).push_back(waiter);
        Ok(turn)
    }

    /// Sends somebody away for a newcomer: strangers before those who are known, and else where most wait, if that is not
    /// where the newcomer would wait.
    fn make_room(&mut self, lane: Lane, max: usize) -> Result<(), Crowded> {
        self.known.retain(|waiter| !waiter.is_closed());
        self.strangers.retain(|waiter| !waiter.is_closed());
        if self.known.len() + self.strangers.len() < max {
            return Ok(());
        }
        let passes = lane.class == Class::Known && self.strangers.len() > 0;
        let line = match lane.class {
            Class::Known if !passes => &mut self.known,
            Class::Known | Class::Stranger => &mut self.strangers,
        };
        if passes || is_fuller_elsewhere(line, lane) {
            line.remove_last();
            return Ok(());
        }
        Err(Crowded)
    }

    fn next(&mut self) -> Option<Waiter> {
        if self.known.len() > 0 && (self.ahead < AHEAD || self.strangers.len() == 0) {
            self.ahead += 1;
            return self.known.take();
        }
        self.ahead = 0;
        self.strangers.take()
    }
}

/// Whether somebody stands behind more others of their own address, or account, than a newcomer of this lane would.
fn is_fuller_elsewhere(line: &Line, lane: Lane) -> bool {
    let (here, most) = (line.len_of(lane.origin), line.len_of_fullest());
    let fuller_account = |accounts: &Rotation<u64, VecDeque<Waiter>>| {
        accounts.len_of(lane.account) + 1 < accounts.len_of_fullest()
    };
    here + 1 < most || (here == most && line.existing(lane.origin).is_some_and(fuller_account))
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else {
            return;
        };
        let mut memory = std::mem::take(&mut self.memory);
        let mut state = turns.state();
        while let Some(waiter) = state.next() {
            let turn = Turn {
                turns: Some(turns.clone()),
                memory,
            };
            match waiter.send(turn) {
                Ok(()) => return,
                // Gone. Its turn must not end as turns do: the lock is held.
                Err(mut turn) => {
                    turn.turns = None;
                    memory = std::mem::take(&mut turn.memory);
                }
            }
        }
        state.free += 1;
        // Giving the memory back takes a while: not under the lock.
        drop(state);
        drop(memory);
    }
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
