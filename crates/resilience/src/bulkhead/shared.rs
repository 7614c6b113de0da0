//! What all handles and permits of a bulkhead share.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use tokio::sync::Semaphore;

use super::Config;
use super::limit::Places;

#[derive(Debug)]
pub(super) struct Shared {
    /// tokio's, since it is fair (first come, first served), hands a freed place straight to the longest waiting,
    /// and takes it back from one that is dropped at that moment.
    pub(super) semaphore: Semaphore,
    pub(super) places: Places,
    pub(super) config: Config,
    pub(super) waiting: AtomicUsize,
    // Relaxed, all of them: they are counted, nothing is decided by them.
    pub(super) admitted: AtomicU64,
    pub(super) full: AtomicU64,
    pub(super) waited_too_long: AtomicU64,
}
