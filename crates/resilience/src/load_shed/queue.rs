//! Who is in progress, who waits, and who is served next: adaptive LIFO with controlled delay.
//!
//! Knows no clock and no lock. What waits is a `T`, which the tests take to be a number.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Config;

/// Names one who waits, until it is served or leaves.
pub(super) type Ticket = u64;

#[derive(Debug)]
pub(super) struct Queue<T> {
    in_flight: usize,
    /// Oldest first, so tickets ascend.
    waiting: VecDeque<(Ticket, T)>,
    next_ticket: Ticket,
    /// Since when the queue has not been empty.
    waiting_since: Option<Instant>,
}

/// What becomes of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<T> {
    /// It has a place.
    Enters,
    /// It waits, for so long at most. Whoever had to make room for it is to be refused.
    Waits {
        ticket: Ticket,
        at_most: Duration,
        evicted: Option<T>,
    },
    /// There is no room for it.
    Refused,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            in_flight: 0,
            waiting: VecDeque::new(),
            next_ticket: 0,
            waiting_since: None,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a place if one is free. While somebody waits none is: [`Self::leave`] hands them over.
    pub(super) fn enter(&mut self, config: &Config) -> bool {
        let free = self.in_flight < config.max_in_flight;
        self.in_flight += usize::from(free);
        free
    }

    /// Takes a place or waits for one. The two in one step: whoever looked for a place and then waits without
    /// looking again can miss the last that is given up, and with it everybody who would have handed it one.
    pub(super) fn join(&mut self, waiter: T, config: &Config, now: Instant) -> Joined<T> {
        if self.enter(config) {
            return Joined::Enters;
        }
        let stands = self.stands(config, now);
        let mut evicted = None;
        if self.waiting.len() >= config.max_waiting {
            // Who would be served last goes: in a burst the newcomer, else the oldest.
            if !stands {
                return Joined::Refused;
            }
            evicted = self.waiting.pop_front().map(|(_, oldest)| oldest);
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back((ticket, waiter));
        self.waiting_since.get_or_insert(now);
        let at_most = if stands {
            config.target
        } else {
            config.interval
        };
        Joined::Waits {
            ticket,
            at_most,
            evicted,
        }
    }

    /// Gives a place up: to the one who is returned, or else it is free.
    pub(super) fn leave(&mut self, config: &Config, clock: impl FnOnce() -> Instant) -> Option<T> {
        if self.waiting.is_empty() {
            self.in_flight -= 1;
            return None;
        }
        let next = if self.stands(config, clock()) {
            self.waiting.pop_back()
        } else {
            self.waiting.pop_front()
        };
        self.note_if_empty();
        next.map(|(_, waiter)| waiter)
    }

    /// Stops waiting; nothing if it was served or evicted before.
    pub(super) fn abandon(&mut self, ticket: Ticket) -> Option<T> {
        let search = self.waiting.binary_search_by_key(&ticket, |(t, _)| *t);
        let (_, waiter) = self.waiting.remove(search.ok()?)?;
        self.note_if_empty();
        Some(waiter)
    }

    /// Whether the queue stands: more comes than can be done, and not just for a moment.
    fn stands(&self, config: &Config, now: Instant) -> bool {
        self.waiting_since
            .is_some_and(|since| now.duration_since(since) >= config.interval)
    }

    fn note_if_empty(&mut self) {
        if self.waiting.is_empty() {
            self.waiting_since = None;
        }
    }
}

#[cfg(test)]
mod tests;
