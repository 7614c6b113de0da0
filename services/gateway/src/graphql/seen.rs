//! The position of the reader of a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sequence of the last change that the reader has; 0 for none, since sequences begin at 1. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<AtomicU64>);

impl Seen {
    pub(super) fn upto(sequence: u64) -> Self {
        Self(Arc::new(AtomicU64::new(sequence)))
    }

    pub(super) fn note(&self, sequence: u64) {
        self.0.store(sequence, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|sequence| *sequence > 0)
    }
}
