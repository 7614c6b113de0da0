//! The handle of the set of endpoints.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::ConfigError;
use crate::circuit_breaker::{self, CircuitBreaker};

use super::config::Tuning;
use super::endpoint::Endpoint;
use super::pick::Set;
use super::{BalanceConfig, EndpointSnapshot};

/// State that the balancer's clones and handles share.
pub(super) struct Shared<K, S> {
    tuning: Tuning,
    /// The balancer's name; its endpoints' breakers are named after it.
    name: String,
    breaker: circuit_breaker::Config,
    /// Serialises updates; readers do not wait for one that is being prepared.
    updating: Mutex<()>,
    /// The generation of `set`: a clone of the balancer compares it, without a lock, to check that its copy is still
    /// the newest.
    generation: AtomicU64,
    set: RwLock<Arc<Set<K, S>>>,
}

impl<K, S> Shared<K, S> {
    pub(super) fn new(name: String, config: &BalanceConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            tuning: config.tuning(),
            name,
            breaker: config.breaker.clone(),
            updating: Mutex::new(()),
            generation: AtomicU64::new(0),
            set: RwLock::new(Arc::new(Set {
                generation: 0,
                endpoints: Vec::new(),
                max_ejected_percent: config.max_ejected_percent,
            })),
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    pub(super) fn set(&self) -> Arc<Set<K, S>> {
        // No code under these locks can panic.
        self.set.read().clone()
    }

    fn publish(&self, set: Set<K, S>) {
        let generation = set.generation;
        let set = Arc::new(set);
        let old = std::mem::replace(&mut *self.set.write(), set);
        self.generation.store(generation, Release);
        // Dropped outside of the lock, since the old set may own connections.
        drop(old);
    }
}

/// The handle of a balancer's endpoints: discovery updates them, health checks mark them, monitoring takes snapshots.
/// Cheap to clone; usable without the balancer, too.
pub struct Endpoints<K, S> {
    shared: Arc<Shared<K, S>>,
}

impl<K, S> Endpoints<K, S> {
    pub(super) fn new(shared: Arc<Shared<K, S>>) -> Self {
        Self { shared }
    }

    /// The number of endpoints.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.set().endpoints.len()
    }

    /// Whether there are no endpoints.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Eq + Hash + Clone + fmt::Debug, S> Endpoints<K, S> {
    /// Replaces the set of endpoints. Those that remain keep their service and state, and the new service of the same
    /// key is dropped. Removed ones get no more calls; their pending calls end normally. New ones [warm
    /// in](BalanceConfig::warm_in), unless the set was empty before.
    ///
    /// A duplicate key counts once.
    pub fn update(&self, endpoints: impl IntoIterator<Item = (K, S)>) {
        let mut new: HashMap<K, S> = HashMap::new();
        let mut keys = Vec::new();
        for (key, service) in endpoints {
            keys.push(key.clone());
            new.entry(key).or_insert(service);
        }
        self.replace(keys, |key| new.remove(key));
    }

    /// Like [`update`](Self::update), for services that are expensive to create: `make` is called only for new keys.
    pub fn update_with(&self, keys: impl IntoIterator<Item = K>, mut make: impl FnMut(&K) -> S) {
        self.replace(keys.into_iter().collect(), |key| Some(make(key)));
    }

    fn replace(&self, keys: Vec<K>, mut make: impl FnMut(&K) -> Option<S>) {
        let shared = &*self.shared;
        let _one_after_the_other = shared.updating.lock();
        let (old, now) = (shared.set(), Instant::now());
        let unknown_us = mean_us(&old, now).unwrap_or(shared.tuning.default_us);
        let mut wanted: HashMap<&K, bool> = keys.iter().map(|key| (key, false)).collect();
        let mut endpoints = Vec::with_capacity(wanted.len());
        // The remaining ones come first, in their old order: DNS shuffles its answers, and the order decides which
        // endpoints are ejected.
        for endpoint in &old.endpoints {
            if let Some(placed) = wanted.get_mut(&endpoint.key) {
                *placed = true;
                endpoints.push(endpoint.clone());
            }
        }
        for key in &keys {
            if !wanted.insert(key, true).unwrap_or(true)
                && let Some(service) = make(key)
            {
                let name = format!("{} at {key:?}", shared.name);
                let breaker = CircuitBreaker::new(name, shared.breaker.clone())
                    .expect("the balancer's configuration was validated");
                let endpoint =
                    Endpoint::new(key.clone(), service, breaker, shared.tuning, unknown_us);
                // The first endpoints have no older ones that could take the calls during a warm-up.
                if !old.endpoints.is_empty() {
                    endpoint.warm_from(now);
                }
                endpoints.push(Arc::new(endpoint));
            }
        }
        shared.publish(Set {
            generation: old.generation + 1,
            endpoints,
            max_ejected_percent: old.max_ejected_percent,
        });
    }

    /// Marks an endpoint with the result of an external health check, e.g. gRPC health checks or requests to `/readyz`.
    /// An unhealthy one gets no calls, not even probes, with the same limit as for ejection: if too many are bad, some
    /// or all are used anyway. When it becomes healthy again it warms in. The mark is dropped with the endpoint.
    /// Returns whether there is such an endpoint.
    pub fn set_healthy(&self, key: &K, healthy: bool) -> bool {
        let set = self.shared.set();
        let found = set.endpoints.iter().find(|e| e.key == *key);
        if found.is_some_and(|e| e.set_healthy(healthy, Instant::now())) {
            tracing::info!(endpoint = ?key, healthy, "the health of an endpoint changed");
        }
        found.is_some()
    }

    /// The breaker of an endpoint, to be inspected, observed and forced.
    #[must_use]
    pub fn breaker(&self, key: &K) -> Option<CircuitBreaker> {
        let set = self.shared.set();
        let found = set.endpoints.iter().find(|e| e.key == *key);
        found.map(|endpoint| endpoint.breaker.clone())
    }
}

impl<K: Clone, S> Endpoints<K, S> {
    /// The current state of each endpoint.
    #[must_use]
    pub fn snapshot(&self) -> Vec<EndpointSnapshot<K>> {
        let (set, now) = (self.shared.set(), Instant::now());
        let mut rotation = set.rotation().map(|e| e.id).peekable();
        let snapshot = set.endpoints.iter().map(|e| {
            let in_rotation = rotation.next_if_eq(&e.id).is_some();
            e.snapshot(now, in_rotation)
        });
        snapshot.collect()
    }
}

/// The mean latency of the measured endpoints; `None` if none was measured.
fn mean_us<K, S>(set: &Set<K, S>, now: Instant) -> Option<f32> {
    let known = set.endpoints.iter().filter_map(|e| e.latency_us(now));
    let (sum, count) = known.fold((0.0, 0_usize), |(sum, count), us| (sum + us, count + 1));
    (count > 0).then(|| (sum / count as f32).max(1.0))
}

impl<K, S> Clone for Endpoints<K, S> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<K, S> fmt::Debug for Endpoints<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
