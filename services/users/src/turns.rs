//! The order in which passwords are hashed.
//!
//! A hash takes tens of milliseconds of a core, so a few run at once and the others wait. A single queue would be
//! filled by the client that sends most. So requests wait by site, within a site by address, and within an address by
//! account, and each of them is served in turn: a client that sends 169 sign-ins a second delays only itself, also if it
//! sends each from another address of its IPv6 network (ADR 54). Callers that have signed in
//! from their present address before ([`Class::Known`]) are preferred to strangers in three turns of four: an honest
//! user behind an attacker's address is served, and strangers are never shut out.
//!
//! One account may have half of the concurrent hashes, so that others need not wait for a hash of a client that signs
//! in to its own account without a pause.
//!
//! When the queue is full, a request of the longest part of it is dropped. A turn is taken when the hash begins;
//! waiting requests hold none.

mod rotation;

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use argon2::Block;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::origin::{Origin, Site};
use rotation::{Queue, Rotation};

/// How many turns in a row go to known callers while strangers wait.
const AHEAD: u32 = 3;

/// The priority of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// This account was signed in to recently from this address.
    Known,
    /// All other callers.
    Stranger,
}

/// The position of a request in the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Which of the two queues.
    pub class: Class,
    /// Shared with requests from the same address.
    pub origin: Origin,
    /// Shared with requests for the same account.
    pub account: u64,
}

/// The refusal of a request that is not likely to get a turn in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

/// The turns and the waiting requests. Clones share them.
#[derive(Clone)]
pub struct Turns(Arc<Inner>);

struct Inner {
    waiting_max: usize,
    /// The most concurrent turns of one account.
    of_account: usize,
    state: Mutex<State>,
}

struct State {
    /// While there are free turns, requests wait only because their account has its maximum.
    free: usize,
    /// The concurrent turns of each account that has any.
    running: HashMap<u64, usize>,
    known: Line,
    strangers: Line,
    /// Turns that went to known callers since the last one of a stranger.
    ahead: u32,
}

struct Waiter {
    account: u64,
    sender: oneshot::Sender<Turn>,
}

type Line = Rotation<Site, Rotation<Origin, Rotation<u64, VecDeque<Waiter>>>>;

/// The right to compute one hash; dropping it passes it to the next request.
pub struct Turn {
    /// `None` once it has ended.
    turns: Option<Turns>,
    account: u64,
    /// The memory for the hash. It is passed from turn to turn while requests wait, and returned to the system when
    /// none does: memory that was newly allocated for each hash would be cleared by the kernel each time, page by page.
    pub(crate) memory: Vec<Block>,
}

impl Turns {
    /// At most `at_once` turns at the same time; at most `waiting_max` requests wait.
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

    /// Waits for a turn, at most for `patience`. Dropping the future ends the wait.
    ///
    /// # Errors
    /// [`Crowded`], at once if too many requests wait already, or after `patience`.
    pub async fn take(&self, lane: Lane, patience: Duration) -> Result<Turn, Crowded> {
        let turn = {
            let mut state = self.state();
            if let Some(turn) = state.begin_if_free(self, lane.account) {
                return Ok(turn);
            }
            state.enter(lane, self.0.waiting_max)?
        };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            // Dropped to make room for another request, or timed out.
            Ok(Err(_)) | Err(_) => Err(Crowded),
        }
    }

    /// A turn that is free at this moment, for work that can be left out: it neither waits nor takes another's place in the
    /// queue.
    #[must_use]
    pub fn take_free(&self, lane: Lane) -> Option<Turn> {
        self.state().begin_if_free(self, lane.account)
    }

    /// The number of waiting requests, including those that were just dropped.
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
        line.of(lane.origin.site())
            .of(lane.origin)
            .of(account)
            .push_back(Waiter { account, sender });
        Ok(turn)
    }

    /// Drops a waiting request for a new one: a stranger's for a known caller's, otherwise one of the longest part of
    /// the queue, unless the new one would wait in that part.
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

    /// The next request, among those whose account may have one more turn.
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

    /// A turn, unless all are taken or the account has its maximum.
    fn begin_if_free(&mut self, turns: &Turns, account: u64) -> Option<Turn> {
        if self.free == 0 || self.running_of(account) >= turns.0.of_account {
            return None;
        }
        self.free -= 1;
        Some(self.begin(turns, account, Vec::new()))
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

/// Whether another site, address or account has more waiting requests than that of `lane` would have with a new one.
fn is_fuller_elsewhere(line: &Line, lane: Lane) -> bool {
    is_fuller_beside(line, lane.origin.site(), |addresses| {
        is_fuller_beside(addresses, lane.origin, |accounts| {
            is_fuller_beside(accounts, lane.account, |_| false)
        })
    })
}

/// Whether another queue is longer than that of `key` would be with one more; or, if that one is the longest, whether it is so
/// `within` it.
fn is_fuller_beside<K: Copy + Eq + Hash, V: Queue>(
    queues: &Rotation<K, V>,
    key: K,
    within: impl FnOnce(&V) -> bool,
) -> bool {
    let (here, most) = (queues.len_of(key), queues.len_of_fullest());
    here + 1 < most || (here == most && queues.existing(key).is_some_and(within))
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
                // The request was dropped. Its turn must not end by its `Drop`, since the lock is held.
                Err(mut turn) => {
                    turn.turns = None;
                    state.end(turn.account);
                    memory = std::mem::take(&mut turn.memory);
                }
            }
        }
        state.free += 1;
        // Returning the memory takes time, so it is not done under the lock.
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
