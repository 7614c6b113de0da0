//! The service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Duration, Instant};
use tower::Service;

use crate::ConfigError;
use crate::classify::{Classify, ErrorsAreFailures};

use super::endpoints::Shared;
use super::pick::Set;
use super::{
    BalanceConfig, BalanceError, Ejection, EjectionConfig, Endpoints, Health, Pending,
    ResponseFuture, elsewhere,
};

/// A service that gives each call to one of a set of endpoints.
///
/// `K` tells endpoints apart (an address), `S` calls one of them and is cloned for each call, `C` says which results
/// are failures, `H` says which endpoints may be asked. There is no layer: it does not wrap a service, it has many.
///
/// A clone that is used again sees that the set is unchanged by one load. One that is made for a single call takes a
/// read lock first, which only the exchange of a pointer ever makes wait. A clone that is never called holds no
/// endpoints: what an update removes is gone when its calls are, and when the clones that it served are
/// called again or dropped.
pub struct Balance<K, S, C = ErrorsAreFailures, H = Ejection> {
    shared: Arc<Shared<K, S, H>>,
    classify: C,
    /// See [`BalanceConfig::late`].
    late: Duration,
    /// The set as of the last call.
    set: Option<Arc<Set<K, S, H>>>,
}

impl<K, S, C> Balance<K, S, C> {
    /// A balancer without endpoints, which ejects with the default [`EjectionConfig`]; give it endpoints by
    /// [`endpoints`](Self::endpoints).
    ///
    /// # Errors
    /// As [`BalanceConfig::validate`].
    pub fn new(config: &BalanceConfig, classify: C) -> Result<Self, ConfigError> {
        Self::with_health(config, classify, EjectionConfig::default().build()?)
    }
}

impl<K, S, C, H> Balance<K, S, C, H> {
    /// A balancer without endpoints; `make_health` makes the judge of each endpoint that is added.
    ///
    /// # Errors
    /// As [`BalanceConfig::validate`].
    pub fn with_health(
        config: &BalanceConfig,
        classify: C,
        make_health: impl Fn(&K) -> H + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            shared: Arc::new(Shared::new(config, Box::new(make_health))),
            classify,
            late: config.late,
            set: None,
        })
    }

    /// The handle on its endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints<K, S, H> {
        Endpoints::new(self.shared.clone())
    }

    /// Judges the calls that this clone makes from now on by `classify`, and counts one that is given up after `late`
    /// as a failure. For callers who know more of a call than of all calls: how long it may take, say.
    pub fn judge_by(&mut self, classify: C, late: Duration) {
        self.classify = classify;
        self.late = late;
    }

    fn set(&mut self) -> &Set<K, S, H> {
        let generation = self.shared.generation();
        let newest = self.set.take().filter(|set| set.generation >= generation);
        self.set.insert(newest.unwrap_or_else(|| self.shared.set()))
    }
}

impl<K, S, C, H: Health> Balance<K, S, C, H> {
    /// Gives one call to an endpoint; `None` if there is none. For callers that keep the [`Pending`] for longer
    /// than the response future lives; all others call the service.
    pub fn pick(&mut self) -> Option<Pending<K, S, H>> {
        let (now, avoid) = (Instant::now(), elsewhere::last());
        let late = self.late;
        let (endpoint, permit) = self.set().pick(avoid, now, &mut rand::rng())?;
        elsewhere::set_last(endpoint.id);
        Some(Pending::new(endpoint.clone(), permit, now, late))
    }
}

impl<K, S, C, H, R> Service<R> for Balance<K, S, C, H>
where
    S: Service<R> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
    H: Health,
{
    type Response = S::Response;
    type Error = BalanceError<S::Error>;
    type Future = ResponseFuture<K, S, R, C, H>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.pick() {
            Some(pending) => ResponseFuture::new(pending, request, self.classify.clone()),
            None => ResponseFuture::no_endpoints(),
        }
    }
}

impl<K, S, C: Clone, H> Clone for Balance<K, S, C, H> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            classify: self.classify.clone(),
            late: self.late,
            // Not the set: an original that is only ever cloned would hold on to its first one.
            set: None,
        }
    }
}

impl<K, S, C, H> fmt::Debug for Balance<K, S, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("endpoints", &self.endpoints())
            .finish_non_exhaustive()
    }
}
