//! The bulkhead itself: its places, the calls inside and the waiting ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::limit::Places;
use super::shared::Shared;
use super::{Config, Permit, Rejected};
use crate::ConfigError;

/// The places at one dependency, shared by all its callers. Clones share one bulkhead.
#[derive(Debug, Clone)]
pub struct Bulkhead {
    shared: Arc<Shared>,
}

/// The state of a bulkhead. The numbers are read one after another, so that with calls in progress they may be slightly
/// inconsistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The current limit of calls inside.
    pub limit: usize,
    /// Calls inside. Above the limit only after it has shrunk, until enough calls have ended.
    pub in_flight: usize,
    /// The limit of waiting calls.
    pub max_waiting: usize,
    /// Waiting calls.
    pub waiting: usize,
    /// Calls that got a place, since the start.
    pub admitted: u64,
    /// Calls refused with [`Rejected::Full`], since the start.
    pub full: u64,
    /// Calls refused with [`Rejected::WaitedTooLong`], since the start.
    pub waited_too_long: u64,
}

impl Bulkhead {
    /// A bulkhead with no calls inside.
    ///
    /// # Errors
    /// If the configuration cannot work; see [`Config::validate`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let places = Places::new(config.max_in_flight.clone());
        Ok(Self {
            shared: Arc::new(Shared {
                semaphore: Semaphore::new(places.limit()),
                places,
                config,
                waiting: AtomicUsize::new(0),
                admitted: AtomicU64::new(0),
                full: AtomicU64::new(0),
                waited_too_long: AtomicU64::new(0),
            }),
        })
    }

    /// Takes a place, and waits for one if necessary. The place is released when the permit is dropped: keep the permit
    /// as long as the dependency works on the call, e.g. with the body of a streamed answer.
    ///
    /// The future can be dropped at any time without leaking a place.
    ///
    /// # Errors
    /// If all places and waiting places are taken, or no place became free in time.
    pub async fn acquire(&self) -> Result<Permit, Rejected> {
        match self.try_acquire() {
            Some(permit) => Ok(permit),
            None => self.queue()?.wait().await,
        }
    }

    /// A place if one is free and no call waits for it, otherwise `None`.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let permit = self.shared.semaphore.try_acquire().ok()?;
        // Released by `Permit`, which does not borrow the semaphore.
        permit.forget();
        Some(self.admit())
    }

    /// The current state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let shared = &*self.shared;
        Snapshot {
            limit: shared.places.limit(),
            in_flight: shared.places.taken(&shared.semaphore),
            max_waiting: shared.config.max_waiting,
            waiting: shared.waiting.load(Relaxed),
            admitted: shared.admitted.load(Relaxed),
            full: shared.full.load(Relaxed),
            waited_too_long: shared.waited_too_long.load(Relaxed),
        }
    }

    fn admit(&self) -> Permit {
        self.shared.admitted.fetch_add(1, Relaxed);
        Permit::new(Arc::clone(&self.shared))
    }

    /// Takes a waiting place, if one is free.
    pub(super) fn queue(&self) -> Result<Waiting, Rejected> {
        let shared = &*self.shared;
        let joined = shared.waiting.fetch_update(Relaxed, Relaxed, |waiting| {
            (waiting < shared.config.max_waiting).then_some(waiting + 1)
        });
        match joined {
            Ok(ahead) => {
                tracing::debug!(ahead, "waiting for a place");
                Ok(Waiting {
                    bulkhead: self.clone(),
                })
            }
            Err(waiting) => {
                shared.full.fetch_add(1, Relaxed);
                let in_flight = shared.places.taken(&shared.semaphore);
                tracing::debug!(
                    in_flight,
                    waiting,
                    "call refused: all places and waiting places are taken"
                );
                Err(Rejected::Full { in_flight, waiting })
            }
        }
    }
}

/// A waiting place, released when dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    bulkhead: Bulkhead,
}

impl Waiting {
    pub(super) async fn wait(self) -> Result<Permit, Rejected> {
        let shared = &*self.bulkhead.shared;
        let start = Instant::now();
        let place = shared.semaphore.acquire();
        match tokio::time::timeout(shared.config.longest_wait(), place).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(self.bulkhead.admit())
            }
            // The middle case is a closed semaphore, which this one never is.
            Ok(Err(_)) | Err(_) => {
                shared.waited_too_long.fetch_add(1, Relaxed);
                let waited = start.elapsed();
                tracing::debug!(
                    waited_ms = waited.as_millis(),
                    "call refused: no place became free in time"
                );
                Err(Rejected::WaitedTooLong { waited })
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bulkhead.shared.waiting.fetch_sub(1, Relaxed);
    }
}
