//! How late the machine itself is, so that a limit of lateness is about what is tested and not about its neighbours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the thread that looks sleeps each time.
const SLEEP: Duration = Duration::from_millis(10);

/// Counts the time by which a thread is woken too late, until it is dropped.
pub(crate) struct Stalls {
    late: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        let (late, done) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, ended) = (Arc::clone(&late), Arc::clone(&done));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(SLEEP);
                let micros = begun.elapsed().saturating_sub(SLEEP).as_micros();
                counted.fetch_add(micros.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self {
            late,
            done,
            thread: Some(thread),
        }
    }

    /// All of it since the beginning.
    pub(crate) fn so_far(&self) -> Duration {
        Duration::from_micros(self.late.load(Ordering::Relaxed))
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic.
            let _ended = thread.join();
        }
    }
}
