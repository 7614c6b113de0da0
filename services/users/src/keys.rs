//! The keys that sign tokens: created here, stored in the database, replaced by age.
//!
//! The life of a key, with `t` from its `active_from`:
//!
//! ```text
//! created          active                     next one active        gone
//!    |── published ──|────── signs ─────────────|── still published ──|
//!   t - ahead        t                   t + rotation     + token lifetime + margin
//! ```
//!
//! No decision depends on a replica's clock: all times are the database's, and what a replica has read is never older
//! than half of `ahead`, so that all replicas have a key before any of them signs with it.

mod signing_key;
mod store;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chassis::{
    BoxError,
    auth::{JwkSet, KeySource},
};
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::RwLock;
use sqlx::PgPool;
use tokio::time::Instant;

pub use signing_key::{KeyError, SigningKey};

/// The options for the replacement of keys.
#[derive(Debug, Clone)]
pub struct KeyOptions {
    /// The lifetime of tokens.
    pub token_lifetime: Duration,
    /// How long a key signs before the next one takes over; zero for ever.
    pub rotation: Duration,
    /// How long a key is published before it signs. Longer than any verifier caches the published keys.
    pub publish_ahead: Duration,
}

/// Verifiers fetch the published keys every 5 minutes, and at once when they find an unknown one.
pub const PUBLISH_AHEAD: Duration = Duration::from_secs(600);

/// How long a key stays published after its last token has expired, because clocks differ.
pub const RETIREMENT_MARGIN: Duration = Duration::from_secs(300);

/// Reads, creates and provides keys. Clones share the keys that were read.
#[derive(Clone)]
pub struct Keyring {
    pool: PgPool,
    options: KeyOptions,
    known: Arc<RwLock<Option<Known>>>,
}

/// The content of the database when it was last read.
#[derive(Clone)]
struct Known {
    /// Oldest first.
    keys: Arc<[SigningKey]>,
    /// The database's clock at that time, and the local one.
    database_time: DateTime<Utc>,
    read_at: Instant,
}

impl Known {
    /// The key that signs at this moment: the newest active one.
    fn signer(&self) -> Option<&SigningKey> {
        let elapsed = TimeDelta::from_std(self.read_at.elapsed()).unwrap_or(TimeDelta::MAX);
        let now = self.database_time + elapsed;
        self.keys.iter().rev().find(|key| key.active_from <= now)
    }
}

impl Keyring {
    /// A keyring that has not read any keys yet; see [`Keyring::maintain`].
    #[must_use]
    pub fn new(pool: PgPool, options: KeyOptions) -> Self {
        Self {
            pool,
            options,
            known: Arc::default(),
        }
    }

    /// The lifetime of tokens.
    #[must_use]
    pub fn token_lifetime(&self) -> Duration {
        self.options.token_lifetime
    }

    /// Creates the first key, or the next one when it is due, deletes keys whose last token has expired, and reads all
    /// keys. All in one transaction under one lock, so that replicas agree. It can be called at any time, and has to be
    /// called more often than [`KeyOptions::publish_ahead`].
    ///
    /// # Errors
    /// Errors of the database, or an invalid stored key.
    pub async fn maintain(&self) -> Result<(), KeyError> {
        let mut tx = self.pool.begin().await?;
        store::lock(&mut tx).await?;
        // Taken before the read, so that the estimate of the database's time is never behind.
        let read_at = Instant::now();
        let database_time = store::now(&mut tx).await?;
        store::raise_token_lifetime(&mut tx, self.options.token_lifetime).await?;
        store::forget_retired(&mut tx, database_time).await?;
        let mut keys = store::all(&mut tx).await?;
        if let Some(active_from) = self.next_key(keys.last(), database_time) {
            let key = SigningKey::generate(active_from)?;
            store::insert(&mut tx, &key, self.options.token_lifetime).await?;
            tracing::info!(kid = key.kid, %active_from, "a new signing key");
            keys.push(key);
        }
        tx.commit().await?;

        *self.known.write() = Some(Known {
            keys: keys.into(),
            database_time,
            read_at,
        });
        Ok(())
    }

    /// The time at which the next key takes over, if it has to be created at `now`.
    fn next_key(&self, newest: Option<&SigningKey>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ahead = self.options.publish_ahead;
        match newest {
            // There was no key before that a verifier could have cached.
            None => Some(now),
            Some(newest) if !self.options.rotation.is_zero() => {
                let takes_over = now + ahead;
                (newest.active_from + self.options.rotation <= takes_over).then_some(takes_over)
            }
            Some(_) => None,
        }
    }

    /// The key to sign with at this moment.
    ///
    /// # Errors
    /// As [`Keyring::maintain`], which it calls when the keys were read too long ago.
    pub async fn signer(&self) -> Result<SigningKey, KeyError> {
        let fresh = |known: &Known| known.read_at.elapsed() < self.options.publish_ahead / 2;
        if self.known().is_none_or(|known| !fresh(&known)) {
            self.maintain().await?;
        }
        self.known()
            .and_then(|known| known.signer().cloned())
            .ok_or(KeyError::NoKey)
    }

    /// Every key whose tokens may still be valid, or will be soon. Empty until the first [`Keyring::maintain`].
    #[must_use]
    pub fn published(&self) -> Arc<[SigningKey]> {
        self.known().map_or_else(Arc::default, |known| known.keys)
    }

    fn known(&self) -> Option<Known> {
        self.known.read().clone()
    }
}

/// The service verifies tokens like every other one, but has the keys in memory.
#[async_trait]
impl KeySource for Keyring {
    async fn fetch(&self) -> Result<JwkSet, BoxError> {
        let published = self.published();
        Ok(JwkSet {
            keys: published.iter().map(SigningKey::public).collect(),
        })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
