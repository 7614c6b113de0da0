//! Whose password is hashed next.
//!
//! A hash takes tens of milliseconds of a core, so a few run at once and the others wait. One line for all would belong to
//! whoever asks most. So they wait by address, and below it by account, and each is served in its turn: whoever sends 169
//! sign-ins a second waits for themselves. Those who have signed in from where they are ([`Class::Known`]) go ahead of
//! strangers, three turns of four: so an honest neighbour is served who shares an attacker's address, and strangers are never
//! shut out.
//!
//! Of the hashes that run at once, one account has half: a neighbour's does not wait for one to end of those who sign in to
//! their own account without a pause.
//!
//! When the line is full, room is made where most wait. A turn is taken when the hash begins, and not by anybody who waits.

mod rotation;

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use argon2::Block;
use parking_lot::{Mutex, MutexGuard};
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
    /// Turns that one account has at the same time.
    of_account: usize,
    state: Mutex<State>,
}

struct State {
    /// While there are some, everybody who waits does so for their own account.
    free: usize,
    /// Turns of each account that has any.
    running: HashMap<u64, usize>,
    known: Line,
    strangers: Line,
    /// Turns that went to those who are known since a stranger had one.
    ahead: u32,
}

struct Waiter {
    account: u64,
    sender: oneshot::Sender<Turn>,
}

type Line = Rotation<Origin, Rotation<u64, VecDeque<Waiter>>>;

/// The right to hash, until it is dropped; then the next one has it.
pub struct Turn {
    /// None once it is over.
    turns: Option<Turns>,
    account: u64,
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
            of_account: (at_once / 2).max(1),
            state: Mutex::new(State {
                free: at_once,
                running: HashMap::new(),
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
            if state.free > 0 && state.running_of(lane.account) < self.0.of_account {
                state.free -= 1;
                return Ok(state.begin(self, lane.account, Vec::new()));
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
        self.0.state.lock()
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
        let (sender, turn) = oneshot::channel();
        let account = lane.account;
        let line = self.line(lane.class);
        line.of(lane.origin)
            .of(account)
            .push_back(Waiter { account, sender });
        Ok(turn)
    }

    /// Sends somebody away for a newcomer: strangers before those who are known, and else where most wait, if that is not
    /// where the newcomer would wait.
    fn make_room(&mut self, lane: Lane, max: usize) -> Result<(), Crowded> {
        self.known.retain(|waiter| !waiter.sender.is_closed());
        self.strangers.retain(|waiter| !waiter.sender.is_closed());
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

    /// Who is next, of those whose account may have one more turn.
    fn next(&mut self, of_account: usize) -> Option<Waiter> {
        let running = &self.running;
        let may = move |waiter: &Waiter| {
            running
                .get(&waiter.account)
                .is_none_or(|count| *count < of_account)
        };
        if self.ahead < AHEAD
            && let Some(waiter) = self.known.take(may)
        {
            self.ahead += 1;
            return Some(waiter);
        }
        if let Some(waiter) = self.strangers.take(may) {
            self.ahead = 0;
            return Some(waiter);
        }
        self.known.take(may)
    }

    fn running_of(&self, account: u64) -> usize {
        self.running.get(&account).copied().unwrap_or_default()
    }

    fn begin(&mut self, turns: &Turns, account: u64, memory: Vec<Block>) -> Turn {
        *self.running.entry(account).or_default() += 1;
        let turns = Some(turns.clone());
        Turn {
            turns,
            account,
            memory,
        }
    }

    fn end(&mut self, account: u64) {
        if let Entry::Occupied(mut running) = self.running.entry(account) {
            *running.get_mut() -= 1;
            if *running.get() == 0 {
                running.remove();
            }
        }
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
        state.end(self.account);
        while let Some(waiter) = state.next(turns.0.of_account) {
            let turn = state.begin(&turns, waiter.account, memory);
            match waiter.sender.send(turn) {
                Ok(()) => return,
                // Gone. Its turn must not end as turns do: the lock is held.
                Err(mut turn) => {
                    turn.turns = None;
                    state.end(turn.account);
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
