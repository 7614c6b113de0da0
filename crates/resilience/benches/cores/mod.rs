//! The same work on all cores at once.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// The mean of the threads' times: each measures its own, so that starting and stopping them is left out.
pub(crate) fn on_all_cores(calls: u64, work: &(impl Fn(u64) + Sync)) -> Duration {
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let barrier = Barrier::new(cores);
    let run = || {
        barrier.wait();
        let start = Instant::now();
        work(calls);
        start.elapsed()
    };
    let total: Duration = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(run)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        threads.into_iter().map(join).sum()
    });
    total / cores as u32
}
