//! The bulkhead itself: places, those inside, those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::limit::Places;
use super::shared::Shared;
use super::{Config, Permit, Rejected};
use crate::ConfigError;

/// The places at one dependency, shared by all who call it. Clones are the same bulkhead.
#[derive(Debug, Clone)]
pub struct Bulkhead {
    shared: Arc<Shared>,
}

/// A bulkhead at one moment. The figures are read one after the other, so while calls come and go they may be off
/// by a few against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls that may be inside now.
    pub limit: usize,
    /// Calls inside. Above the limit only after it shrank, until that many have ended.
    pub in_flight: usize,
    /// Calls that may wait.
    pub max_waiting: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that got a place, since the start.
    pub admitted: u64,
    /// Calls refused with [`Rejected::Full`], since the start.
    pub full: u64,
    /// Calls refused with [`Rejected::WaitedTooLong`], since the start.
    pub waited_too_long: u64,
}

impl Bulkhead {
    /// A bulkhead with no one inside.
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

    /// A place, waited for if need be. The place is free again when the permit is dropped: keep it as long as the
    /// dependency works for you, e.g. beside the body of a streamed answer.
    ///
    /// Dropping the future at any time leaves nothing behind.
    ///
    /// # Errors
    /// If there is neither a place nor room to wait, or no place became free in time.
    pub async fn acquire(&self) -> Result<Permit, Rejected> {
        match self.try_acquire() {
            Some(permit) => Ok(permit),
            None => self.queue()?.wait().await,
        }
    }

    /// A place if one is free now and no one waits for it.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let permit = self.shared.semaphore.try_acquire().ok()?;
        // Given back by `Permit`, which does not borrow the semaphore.
        permit.forget();
        Some(self.admit())
    }

    /// The bulkhead now.
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

    /// Room to wait, if there is.
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
                tracing::debug!(in_flight, waiting, "no place, and none to wait at");
                Err(Rejected::Full { in_flight, waiting })
            }
        }
    }
}

/// Room to wait, free again when dropped.
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
            // The middle case is a closed semaphore, and nobody closes this one.
            Ok(Err(_)) | Err(_) => {
                shared.waited_too_long.fetch_add(1, Relaxed);
                let waited = start.elapsed();
                tracing::debug!(waited_ms = waited.as_millis(), "no place became free");
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
