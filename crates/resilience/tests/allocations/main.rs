//! What a call costs in allocations: nothing, on the path that calls of a healthy dependency take.
//!
//! Allocations are counted for the whole process, so each measurement has the allocator to itself.

mod circuit_breaker;

use std::sync::{Mutex, PoisonError};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

static ALONE: Mutex<()> = Mutex::new(());

/// The allocations of `calls`: the least of some runs, since the test harness allocates when it pleases.
fn allocations(mut calls: impl FnMut()) -> u64 {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut run = || {
        let before = dhat::HeapStats::get().total_blocks;
        calls();
        dhat::HeapStats::get().total_blocks - before
    };
    (0..5).map(|_| run()).min().unwrap_or(u64::MAX)
}
