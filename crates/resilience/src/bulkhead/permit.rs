//! A place inside.

use std::sync::Arc;

use tokio::time::Instant;

use super::shared::Shared;
use crate::classify::Outcome;

/// A place inside a bulkhead, free again when this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again as soon as this is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
    /// When the call began, until it is known how it ended; always `None` under a fixed limit.
    began: Option<Instant>,
}

impl Permit {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let began = shared.places.now();
        Self { shared, began }
    }

    /// Tells an adaptive limit how the call ended; its latency is the time since the place was taken. Only the
    /// first time counts, so a permit that is kept for a streamed body is told at the head of the answer. A permit
    /// dropped without it is a call that was given up: it counts if it was late by then. A fixed limit learns
    /// nothing from it.
    pub fn record(&mut self, outcome: Outcome) {
        if let Some(began) = self.began.take() {
            let shared = &*self.shared;
            shared.places.record(began, outcome, &shared.semaphore);
        }
    }

    /// Has an adaptive limit learn nothing from this call, however long it took: its time was not the dependency's, e.g.
    /// somebody who sends a body was waited for.
    pub fn forget(&mut self) {
        self.began = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.record(Outcome::Ignored);
        self.shared.places.release(&self.shared.semaphore);
    }
}
