//! The public keys that tokens are checked with, and where they come from.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::BoxError;

/// The shortest time between two fetches: unknown key ids are the caller's to invent.
pub(super) const FETCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long one fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the public keys come from: the issuer's key endpoint, or its own database.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// All keys that are valid at this moment.
    async fn fetch(&self) -> Result<JwkSet, BoxError>;
}

type Keys = HashMap<String, DecodingKey>;

/// The keys that were fetched last. They stay when the source is down: an issuer that cannot be
/// asked is no reason to refuse those who signed in before.
pub(super) struct KeyRing {
    source: Arc<dyn KeySource>,
    // None until the first fetch.
    current: RwLock<Option<Loaded>>,
    // Held while fetching, so that many who miss a key ask once.
    fetching: Mutex<LastFetch>,
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

/// What a look for a key came to.
pub(super) enum Lookup {
    /// There it is.
    Found(DecodingKey),
    /// The source was asked, and has no such key.
    Unknown,
    /// The source did not answer.
    Unavailable(String),
}

impl KeyRing {
    pub(super) fn new(source: Arc<dyn KeySource>) -> Self {
        Self {
            source,
            current: RwLock::default(),
            fetching: Mutex::default(),
        }
    }

    /// Finds a key, asking the source if it is not known. `on_change` runs when the set of keys is
    /// another than before.
    pub(super) async fn find(&self, kid: &str, on_change: impl Fn()) -> Lookup {
        if let Some(key) = self.known(kid) {
            return Lookup::Found(key);
        }
        let asked = Instant::now();
        let mut last = self.fetching.lock().await;
        // Somebody may have fetched while this call waited for the lock.
        if let Some(key) = self.known(kid) {
            return Lookup::Found(key);
        }
        if last.begun.is_none_or(|begun| begun < asked) {
            let wait = last.begun.map_or(Duration::ZERO, |begun| {
                FETCH_INTERVAL.saturating_sub(begun.elapsed())
            });
            if let (Some(error), false) = (&last.error, wait.is_zero()) {
                return Lookup::Unavailable(error.clone());
            }
            // The first token of a new key may come right after a fetch: waiting out the interval
            // (at most 1 s) serves it, refusing it would sign its user out.
            tokio::time::sleep(wait).await;
            self.fetch_locked(&mut last, on_change).await;
        }
        match (self.known(kid), &last.error) {
            (Some(key), _) => Lookup::Found(key),
            (None, Some(error)) => Lookup::Unavailable(error.clone()),
            (None, None) => Lookup::Unknown,
        }
    }

    /// Fetches in any case; the error says why the source did not answer.
    pub(super) async fn refresh(&self, on_change: impl Fn()) -> Result<(), String> {
        let mut last = self.fetching.lock().await;
        self.fetch_locked(&mut last, on_change).await;
        last.error.clone().map_or(Ok(()), Err)
    }

    async fn fetch_locked(&self, last: &mut LastFetch, on_change: impl Fn()) {
        last.begun = Some(Instant::now());
        let fetched = match tokio::time::timeout(FETCH_TIMEOUT, self.source.fetch()).await {
            Ok(Ok(set)) => Ok(set),
            Ok(Err(error)) => Err(crate::fatal::one_line(&crate::fatal::chain(&*error))),
            Err(_) => Err(format!("no answer in {FETCH_TIMEOUT:?}")),
        };
        last.error = match fetched {
            Ok(set) => {
                if self.replace(set) {
                    on_change();
                }
                None
            }
            Err(error) => Some(error),
        };
    }

    /// True if the keys are others than before.
    fn replace(&self, set: JwkSet) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|loaded| loaded.set == set) {
            return false;
        }
        let keys = Arc::new(usable(&set));
        *current = Some(Loaded { set, keys });
        true
    }

    fn known(&self, kid: &str) -> Option<DecodingKey> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref()?.keys.get(kid).cloned()
    }
}

/// The keys that can be used here: Ed25519, with an id. Others may be for somebody else.
fn usable(set: &JwkSet) -> Keys {
    let ed25519 = set.keys.iter().filter(|key| {
        matches!(&key.algorithm, AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519)
    });
    ed25519
        .filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?)))
        .collect()
}
