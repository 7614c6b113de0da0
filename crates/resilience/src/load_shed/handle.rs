//! The calls in progress at one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue::{Joined, Queue, Ticket};
use super::{Config, Overloaded};
use crate::ConfigError;

/// The calls in progress at one server, shared by all its routes. Clones share one state.
#[derive(Debug, Clone)]
pub struct LoadShed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    /// Held for a few instructions at the start and end of a call, never while a task is woken. The alternative, an
    /// atomic counter beside the queue, saves nanoseconds of a request that costs a server tens of thousands, and the
    /// two would have to be kept consistent.
    queue: Mutex<Queue<oneshot::Sender<Permit>>>,
    admitted: AtomicU64,
    shed: AtomicU64,
    exempt: AtomicU64,
}

/// The load of a server at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The limit of calls in progress.
    pub limit: usize,
    /// Calls in progress, without exempt ones.
    pub in_flight: usize,
    /// The limit of calls that wait to begin.
    pub max_waiting: usize,
    /// Calls that wait to begin.
    pub waiting: usize,
    /// Calls that have begun, since the start, without exempt ones.
    pub admitted: u64,
    /// Calls refused, since the start.
    pub shed: u64,
    /// Exempt calls, since the start.
    pub exempt: u64,
}

impl LoadShed {
    /// A server without calls.
    ///
    /// # Errors
    /// If the configuration cannot work; see [`Config::validate`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                queue: Mutex::new(Queue::new()),
                admitted: AtomicU64::new(0),
                shed: AtomicU64::new(0),
                exempt: AtomicU64::new(0),
            }),
        })
    }

    /// Takes a place among the calls in progress, and waits for one if necessary. The place is released when the permit
    /// is dropped: keep the permit with a streamed body to count the stream as a call in progress.
    ///
    /// The future can be dropped at any time without leaking a place.
    ///
    /// # Errors
    /// If the server is overloaded.
    pub async fn acquire(&self) -> Result<Permit, Overloaded> {
        match self.try_acquire() {
            Some(permit) => Ok(permit),
            None => match self.join()? {
                Joining::Enters(permit) => Ok(permit),
                Joining::Waits(waiting) => waiting.wait().await,
            },
        }
    }

    /// A place if one is free and no call waits for it, otherwise `None`.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let entered = self.shared.lock().enter(&self.shared.config);
        entered.then(|| self.admit())
    }

    /// The current load.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let shared = &*self.shared;
        let (in_flight, waiting) = {
            let queue = shared.lock();
            (queue.in_flight(), queue.waiting())
        };
        Snapshot {
            limit: shared.config.max_in_flight,
            in_flight,
            max_waiting: shared.config.max_waiting,
            waiting,
            admitted: shared.admitted.load(Relaxed),
            shed: shared.shed.load(Relaxed),
            exempt: shared.exempt.load(Relaxed),
        }
    }

    pub(super) fn count_exempt(&self) {
        self.shared.exempt.fetch_add(1, Relaxed);
    }

    fn admit(&self) -> Permit {
        self.shared.admitted.fetch_add(1, Relaxed);
        Permit(Some(Arc::clone(&self.shared)))
    }

    /// Takes a place, or a position in the queue.
    pub(super) fn join(&self) -> Result<Joining, Overloaded> {
        let shared = &*self.shared;
        let (sender, receiver) = oneshot::channel();
        let now = Instant::now();
        // A separate statement, so that the lock is released before an evicted waiter is notified.
        let joined = shared.lock().join(sender, &shared.config, now);
        match joined {
            Joined::Enters => Ok(Joining::Enters(self.admit())),
            Joined::Waits {
                ticket, at_most, ..
            } => Ok(Joining::Waits(Waiting {
                place: Place {
                    ticket,
                    shared: Arc::clone(&self.shared),
                },
                receiver,
                until: now + at_most,
            })),
            Joined::Refused => Err(shared.refuse()),
        }
    }
}

impl Shared {
    /// No code under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, Queue<oneshot::Sender<Permit>>> {
        self.queue.lock()
    }

    fn refuse(&self) -> Overloaded {
        self.shed.fetch_add(1, Relaxed);
        tracing::debug!("too much to do: a call is refused");
        Overloaded {
            retry_after: self.config.retry_after,
        }
    }

    /// Passes a place to the next waiter that is still there, or frees it.
    fn release(mut self: Arc<Self>) {
        loop {
            let next = self.lock().leave(&self.config, Instant::now);
            let Some(waiter) = next else { return };
            match waiter.send(Permit(Some(self))) {
                Ok(()) => return,
                // The waiter has just left. The permit is taken apart: dropping it as a whole would call this function
                // again, one level deeper for each waiter that has left.
                Err(mut permit) => match permit.0.take() {
                    Some(shared) => self = shared,
                    None => return,
                },
            }
        }
    }
}

/// A place among the calls in progress, released when this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again as soon as this is dropped"]
pub struct Permit(Option<Arc<Shared>>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.release();
        }
    }
}

/// The result for a call that is not refused.
#[derive(Debug)]
pub(super) enum Joining {
    Enters(Permit),
    Waits(Waiting),
}

/// A waiting call. When dropped it leaves the queue, and a permit that was being sent is dropped with the receiver.
#[derive(Debug)]
pub(super) struct Waiting {
    place: Place,
    receiver: oneshot::Receiver<Permit>,
    until: Instant,
}

#[derive(Debug)]
struct Place {
    ticket: Ticket,
    shared: Arc<Shared>,
}

impl Waiting {
    pub(super) async fn wait(self) -> Result<Permit, Overloaded> {
        let shared = &*self.place.shared;
        match tokio::time::timeout_at(self.until, self.receiver).await {
            Ok(Ok(permit)) => {
                shared.admitted.fetch_add(1, Relaxed);
                Ok(permit)
            }
            // Evicted, or waited too long.
            Ok(Err(_)) | Err(_) => Err(shared.refuse()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.shared.lock().abandon(self.ticket);
        // Dropped after the lock is released.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With several threads, a waiter may be gone for the sender but still be in the queue.
    #[tokio::test(start_paused = true)]
    async fn a_place_passes_by_all_who_have_just_left() {
        let config = Config {
            max_in_flight: 1,
            max_waiting: 100_000,
            ..Config::default()
        };
        let load_shed = LoadShed::new(config).unwrap();
        let inside = load_shed.try_acquire().unwrap();
        let waits = || match load_shed.join().unwrap() {
            Joining::Waits(waiting) => waiting,
            Joining::Enters(permit) => panic!("{permit:?}"),
        };
        let leaves = |_| {
            let mut waiting = waits();
            waiting.receiver.close();
            waiting
        };
        // So many that a nested call for each would overflow the stack.
        let _left = Vec::from_iter((1..100_000).map(leaves));
        let stays = waits();
        drop(inside);
        let permit = stays.wait().await.unwrap();
        drop(permit);
        assert_eq!(load_shed.snapshot().in_flight, 0);
    }
}
