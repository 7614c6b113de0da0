//! The keys that sign tokens: made here, kept in the database, replaced by age.
//!
//! The life of a key, with `t` from its `active_from`:
//!
//! ```text
//! created          active                     next one active        gone
//!    |── published ──|────── signs ─────────────|── still published ──|
//!   t - ahead        t                   t + rotation     + token lifetime + margin
//! ```
//!
//! Nothing is decided by the clock of a replica: all moments are the database's, and what a replica
//! knows is never older than half of `ahead`, so that all of them have a key before any signs with it.

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

/// How keys are replaced.
#[derive(Debug, Clone)]
pub struct KeyOptions {
    /// How long tokens are good for.
    pub token_lifetime: Duration,
    /// How long a key signs before the next one takes over; zero: for ever.
    pub rotation: Duration,
    /// How long a key is published before it signs. Longer than anybody caches the published keys.
    pub publish_ahead: Duration,
}

/// Verifiers fetch the published keys every 5 minutes, and at once when they meet an unknown one.
pub const PUBLISH_AHEAD: Duration = Duration::from_secs(600);

/// How much longer than the last token a key stays published: for clocks that differ.
pub const RETIREMENT_MARGIN: Duration = Duration::from_secs(300);

/// Reads, makes and hands out keys. Clones share what was read.
#[derive(Clone)]
pub struct Keyring {
    pool: PgPool,
    options: KeyOptions,
    known: Arc<RwLock<Option<Known>>>,
}

/// What the database held when it was last read.
#[derive(Clone)]
struct Known {
    /// Oldest first.
    keys: Arc<[SigningKey]>,
    /// The database's clock at that time, and ours.
    database_time: DateTime<Utc>,
    read_at: Instant,
}

impl Known {
    /// The key that signs at this moment: the newest that is active.
    fn signer(&self) -> Option<&SigningKey> {
        let elapsed = TimeDelta::from_std(self.read_at.elapsed()).unwrap_or(TimeDelta::MAX);
        let now = self.database_time + elapsed;
        self.keys.iter().rev().find(|key| key.active_from <= now)
    }
}

impl Keyring {
    /// A keyring that has read nothing yet; see [`Keyring::maintain`].
    #[must_use]
    pub fn new(pool: PgPool, options: KeyOptions) -> Self {
        Self {
            pool,
            options,
            known: Arc::default(),
        }
    }

    /// How long tokens are good for.
    #[must_use]
    pub fn token_lifetime(&self) -> Duration {
        self.options.token_lifetime
    }

    /// Makes the first key, or the next one when it is time; forgets those whose last token has expired;
    /// reads what there is. All in one transaction under one lock, so that replicas agree. Safe to call
    /// at any time, and meant to be called more often than [`KeyOptions::publish_ahead`].
    ///
    /// # Errors
    /// The database's, or a stored key that is none.
    pub async fn maintain(&self) -> Result<(), KeyError> {
        let mut tx = self.pool.begin().await?;
        store::lock(&mut tx).await?;
        // Before the read, so that the estimate of the database's time is never behind.
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

    /// When the next key shall take over, if it has to be made at `now`.
    fn next_key(&self, newest: Option<&SigningKey>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ahead = self.options.publish_ahead;
        match newest {
            // Nobody can have cached that there is none.
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
    /// As [`Keyring::maintain`], which it calls when what it knows is too old to be sure.
    pub async fn signer(&self) -> Result<SigningKey, KeyError> {
        let fresh = |known: &Known| known.read_at.elapsed() < self.options.publish_ahead / 2;
        if self.known().is_none_or(|known| !fresh(&known)) {
            self.maintain().await?;
        }
        self.known()
            .and_then(|known| known.signer().cloned())
            .ok_or(KeyError::NoKey)
    }

    /// Every key whose tokens may still be around or are about to be. Empty until the first
    /// [`Keyring::maintain`].
    #[must_use]
    pub fn published(&self) -> Arc<[SigningKey]> {
        self.known().map_or_else(Arc::default, |known| known.keys)
    }

    fn known(&self) -> Option<Known> {
        self.known.read().clone()
    }
}

/// The service checks tokens like every other, only that the keys are at hand.
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
