//! The calls in progress, the waiting ones, and the choice of the next: adaptive LIFO with controlled delay.
//!
//! It has no clock and no lock. A waiting call is a `T`; the tests use a number.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Config;

/// Identifies a waiting call until it is served or leaves.
pub(super) type Ticket = u64;

#[derive(Debug)]
pub(super) struct Queue<T> {
    in_flight: usize,
    /// Oldest first, so that tickets are ascending.
    waiting: VecDeque<(Ticket, T)>,
    next_ticket: Ticket,
    /// Since when the queue has not been empty.
    waiting_since: Option<Instant>,
}

/// The result for a new call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<T> {
    /// It gets a place.
    Enters,
    /// It waits, for at most this long. The evicted call, if any, has to be refused.
    Waits {
        ticket: Ticket,
        at_most: Duration,
        evicted: Option<T>,
    },
    /// The queue is full.
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

    /// Takes a place if one is free. None is free while a call waits, since [`Self::leave`] passes places on.
    pub(super) fn enter(&mut self, config: &Config) -> bool {
        let free = self.in_flight < config.max_in_flight;
        self.in_flight += usize::from(free);
        free
    }

    /// Takes a place or joins the queue. Both in one step: a call that found no place and joined the queue later could
    /// miss the last place that is released, and with it every call that would have passed one on.
    pub(super) fn join(&mut self, waiter: T, config: &Config, now: Instant) -> Joined<T> {
        if self.enter(config) {
            return Joined::Enters;
        }
        let stands = self.stands(config, now);
        let mut evicted = None;
        if self.waiting.len() >= config.max_waiting {
            // The call that would be served last is dropped: in a burst the new one, otherwise the oldest.
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

    /// Releases a place: to the returned waiter, or as a free place.
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

    /// Removes a waiting call; `None` if it was already served or evicted.
    pub(super) fn abandon(&mut self, ticket: Ticket) -> Option<T> {
        let search = self.waiting.binary_search_by_key(&ticket, |(t, _)| *t);
        let (_, waiter) = self.waiting.remove(search.ok()?)?;
        self.note_if_empty();
        Some(waiter)
    }

    /// Whether the queue stands: more calls arrive than can be processed, and not just for a moment.
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
