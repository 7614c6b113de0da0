//! A place in a bulkhead.

use std::sync::Arc;

use tokio::time::Instant;

use super::shared::Shared;
use crate::classify::Outcome;

/// A place in a bulkhead, released when this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again as soon as this is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
    /// The start of the call, until its end was recorded; always `None` under a fixed limit.
    began: Option<Instant>,
}

impl Permit {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let began = shared.places.now();
        Self { shared, began }
    }

    /// Reports the end of the call to an adaptive limit; its latency is the time since the place was taken. Only the
    /// first report counts, so for a streamed body report at the head of the answer. A permit that is dropped without a
    /// report is a cancelled call: it counts if it was late by then. A fixed limit ignores all this.
    pub fn record(&mut self, outcome: Outcome) {
        if let Some(began) = self.began.take() {
            let shared = &*self.shared;
            shared.places.record(began, outcome, &shared.semaphore);
        }
    }

    /// Excludes this call from an adaptive limit, however long it took, because its time was not the dependency's, e.g.
    /// when it was spent waiting for the sender of a body.
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
