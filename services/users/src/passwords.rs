//! Hashing passwords: argon2id, off the async threads, a few at a time.
//!
//! A hash is meant to be expensive: tens of milliseconds of a core and [`HashOptions::memory_kib`] of
//! memory. So that a burst of sign-ins costs neither all of the memory nor the responsiveness of
//! everything else, hashes run on blocking threads, at most [`HashOptions::concurrency`] at once; a
//! request waits for its turn at most [`HashOptions::wait`] and is told to come back when that runs out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::domain::Password;

/// Requests that wait for their turn, for each hash that runs. At tens of milliseconds a hash, who stands
/// further back would not be served within a reasonable wait anyway.
const WAITING_PER_HASH: usize = 64;

/// What a hash costs, and how many run.
#[derive(Debug, Clone)]
pub struct HashOptions {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Hashes that run at the same time.
    pub concurrency: usize,
    /// The longest that a request waits for its turn.
    pub wait: Duration,
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many requests want a hash; this one was given up before it cost anything.
    #[error("too many passwords are being checked")]
    Busy,
    /// The parameters make no sense, or a stored hash is none.
    #[error("argon2: {0}")]
    Argon2(#[from] argon2::Error),
    /// The same, from the layer that reads and writes hashes as text.
    #[error("password hash: {0}")]
    Format(#[from] password_hash::Error),
    /// The hashing thread died.
    #[error("the hashing thread died: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Whether a password is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is, and the stored hash was made with other parameters than today's: store a new one.
    RightButOutdated,
    /// It is not, or there is no account.
    Wrong,
}

/// Makes and checks hashes. Clones share the limits.
#[derive(Clone)]
pub struct Hasher(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    /// The hash of nothing that anybody could type: what an unknown email is checked against.
    dummy: String,
    /// Running and waiting: who finds no place is turned away at once.
    places: Semaphore,
    /// Running.
    turns: Arc<Semaphore>,
    wait: Duration,
    performed: AtomicU64,
}

impl Hasher {
    /// Checks the options by making one hash; blocks for as long as that takes.
    ///
    /// # Errors
    /// [`HashError::Argon2`] for parameters that argon2 does not allow.
    pub fn new(options: &HashOptions) -> Result<Self, HashError> {
        // The length is named, since parameters that are read back from a hash name it as well.
        let length = Some(Params::DEFAULT_OUTPUT_LEN);
        let params = Params::new(options.memory_kib, options.iterations, 1, length)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = argon2
            .hash_password(&rand::random::<[u8; 32]>())?
            .to_string();
        let concurrency = options.concurrency.max(1);
        Ok(Self(Arc::new(Inner {
            argon2,
            dummy,
            places: Semaphore::new(concurrency * (1 + WAITING_PER_HASH)),
            turns: Arc::new(Semaphore::new(concurrency)),
            wait: options.wait,
            performed: AtomicU64::new(0),
        })))
    }

    /// The hash to store for `password`, with a salt of its own.
    ///
    /// # Errors
    /// [`HashError::Busy`] when it did not get its turn in time.
    pub async fn hash(&self, password: Password) -> Result<String, HashError> {
        self.in_turn(move |inner| {
            let hash = inner.argon2.hash_password(password.as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Checks `password` against a stored hash, or against a dummy when there is none: the answer for an
    /// unknown account takes the same work as that for a wrong password.
    ///
    /// # Errors
    /// [`HashError::Busy`] when it did not get its turn in time; [`HashError::Format`] when `stored` is
    /// not a hash.
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<Verdict, HashError> {
        self.in_turn(move |inner| {
            let hash = PasswordHash::new(stored.as_ref().unwrap_or(&inner.dummy))
                .map_err(password_hash::Error::from)?;
            match inner.argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) if Params::try_from(&hash)? != *inner.argon2.params() => {
                    Ok(Verdict::RightButOutdated)
                }
                Ok(()) => Ok(Verdict::Right),
                Err(password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Hashes that were computed since the start, whatever for.
    #[must_use]
    pub fn performed(&self) -> u64 {
        self.0.performed.load(Ordering::Relaxed)
    }

    /// Runs `work` on a blocking thread when it is its turn.
    async fn in_turn<T, F>(&self, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T, HashError> + Send + 'static,
    {
        let _place = self.0.places.try_acquire().map_err(|_| HashError::Busy)?;
        let turn = Arc::clone(&self.0.turns).acquire_owned();
        let turn = tokio::time::timeout(self.0.wait, turn)
            .await
            .map_err(|_| HashError::Busy)?
            .map_err(|_| HashError::Busy)?;
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            // The turn belongs to the work and not to the request: a caller who hangs up ends the
            // waiting, not the hash, and the next one must not start beside it.
            let _turn = turn;
            inner.performed.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("password_hashes_total").increment(1);
            work(&inner)
        })
        .await?
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher")
            .field("performed", &self.performed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
