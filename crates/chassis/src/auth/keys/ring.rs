//! The current keys, and when to fetch new ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};
use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio::time::Instant;

use super::missing::Missing;
use super::{FETCH_INTERVAL, FETCH_TIMEOUT, KeySource, Lookup, WAITING_MAX};
use crate::limits::outside;

type Keys = HashMap<String, DecodingKey>;

/// The keys of the last successful fetch. They stay valid while the source is down: an unreachable issuer is no reason
/// to refuse users who signed in before. Clones share them.
#[derive(Clone)]
pub(in crate::auth) struct KeyRing(Arc<Ring>);

struct Ring {
    source: Arc<dyn KeySource>,
    // Called when the set of keys has changed.
    on_change: Box<dyn Fn() + Send + Sync>,
    // `None` until the first fetch.
    current: RwLock<Option<Loaded>>,
    // Held during a fetch, so that many requests that miss a key cause only one.
    fetching: Arc<Mutex<LastFetch>>,
    waiting: Semaphore,
    missing: Missing,
}

struct Loaded {
    set: JwkSet,
    keys: Arc<Keys>,
}

#[derive(Default)]
struct LastFetch {
    begun: Option<Instant>,
    error: Option<String>,
}

impl KeyRing {
    pub(in crate::auth) fn new(
        source: Arc<dyn KeySource>,
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Ring {
            source,
            on_change: Box::new(on_change),
            current: RwLock::default(),
            fetching: Arc::default(),
            waiting: Semaphore::new(WAITING_MAX),
            missing: Missing::default(),
        }))
    }

    /// Finds a key, fetching from the source if it is unknown. The request holds no place while it waits for that.
    pub(in crate::auth) async fn find(&self, kid: &str) -> Lookup {
        let ring = &self.0;
        if let Some(key) = ring.known(kid) {
            return Lookup::Found(key);
        }
        if ring.missing.contains(kid) {
            return Lookup::Unknown;
        }
        // Before the first fetch no token can be decided, so every request waits for it.
        let _waiting = match ring.waiting.try_acquire() {
            Ok(place) => Some(place),
            Err(_) if ring.has_keys() => return Lookup::Unknown,
            Err(_) => None,
        };
        let found = outside(self.fetched(kid)).await;
        found.unwrap_or_else(|overloaded| Lookup::Unavailable(overloaded.to_string()))
    }

    /// Finds a key that was not there a moment ago, after a fetch that began later.
    async fn fetched(&self, kid: &str) -> Lookup {
        let ring = &self.0;
        let asked = Instant::now();
        let last = Arc::clone(&ring.fetching).lock_owned().await;
        // Another request may have fetched while this one waited for the lock.
        if let Some(key) = ring.known(kid) {
            return Lookup::Found(key);
        }
        let error = if last.begun.is_none_or(|begun| begun < asked) {
            let wait = last.begun.map_or(Duration::ZERO, |begun| {
                FETCH_INTERVAL.saturating_sub(begun.elapsed())
            });
            if let (Some(error), false) = (&last.error, wait.is_zero()) {
                return Lookup::Unavailable(error.clone());
            }
            // The first token of a new key may arrive right after a fetch. Waiting for the rest of the interval (at
            // most 1 s) serves it; refusing it would sign its user out.
            tokio::time::sleep(wait).await;
            self.fetch(last).await.err()
        } else {
            last.error.clone()
        };
        match (ring.known(kid), error) {
            (Some(key), _) => Lookup::Found(key),
            (None, Some(error)) => Lookup::Unavailable(error),
            (None, None) => {
                ring.missing.add(kid);
                Lookup::Unknown
            }
        }
    }

    /// Whether there was a successful fetch.
    pub(in crate::auth) fn are_known(&self) -> bool {
        self.0.has_keys()
    }

    /// Fetches unconditionally. The error says why the source did not answer.
    pub(in crate::auth) async fn refresh(&self) -> Result<(), String> {
        let last = Arc::clone(&self.0.fetching).lock_owned().await;
        self.fetch(last).await
    }

    /// Fetches in a separate task: requests that share the fetch must not fail because the one that started it
    /// disconnects, nor be bound by its deadline.
    async fn fetch(&self, mut last: OwnedMutexGuard<LastFetch>) -> Result<(), String> {
        let ring = Arc::clone(&self.0);
        let fetch = tokio::spawn(async move {
            last.begun = Some(Instant::now());
            let result = ring.ask().await;
            last.error = result.as_ref().err().cloned();
            result
        });
        fetch
            .await
            .unwrap_or_else(|_| Err("the fetch was broken off".to_owned()))
    }
}

impl Ring {
    async fn ask(&self) -> Result<(), String> {
        match tokio::time::timeout(FETCH_TIMEOUT, self.source.fetch()).await {
            Ok(Ok(set)) => {
                if self.replace(set) {
                    (self.on_change)();
                }
                Ok(())
            }
            Ok(Err(error)) => Err(crate::fatal::one_line(&crate::fatal::chain(&*error))),
            Err(_) => Err(format!("no answer in {FETCH_TIMEOUT:?}")),
        }
    }

    /// Replaces the keys. Returns true if they differ from the previous ones.
    fn replace(&self, set: JwkSet) -> bool {
        let mut current = self.current.write();
        if current.as_ref().is_some_and(|loaded| loaded.set == set) {
            return false;
        }
        let keys = Arc::new(usable(&set));
        *current = Some(Loaded { set, keys });
        true
    }

    fn known(&self, kid: &str) -> Option<DecodingKey> {
        let current = self.current.read();
        current.as_ref()?.keys.get(kid).cloned()
    }

    fn has_keys(&self) -> bool {
        let current = self.current.read();
        current.is_some()
    }
}

/// The keys that can be used here: Ed25519, with an id. Other keys in the set may be for other purposes.
fn usable(set: &JwkSet) -> Keys {
    let ed25519 = set.keys.iter().filter(|key| {
        matches!(&key.algorithm, AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519)
    });
    ed25519
        .filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?)))
        .collect()
}
