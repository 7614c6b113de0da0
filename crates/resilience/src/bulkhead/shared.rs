//! State that all handles and permits of a bulkhead share.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use tokio::sync::Semaphore;

use super::Config;
use super::limit::Places;

#[derive(Debug)]
pub(super) struct Shared {
    /// tokio's semaphore, since it is fair (first come, first served), passes a released place directly to the waiter
    /// that waits longest, and takes it back if that waiter is dropped at the same moment.
    pub(super) semaphore: Semaphore,
    pub(super) places: Places,
    pub(super) config: Config,
    pub(super) waiting: AtomicUsize,
    // Relaxed, since these are only counters on which no decision depends.
    pub(super) admitted: AtomicU64,
    pub(super) full: AtomicU64,
    pub(super) waited_too_long: AtomicU64,
}
