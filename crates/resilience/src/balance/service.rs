//! The service.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Duration, Instant};
use tower::Service;

use crate::ConfigError;
use crate::classify::{Classify, ErrorsAreFailures};

use super::endpoints::Shared;
use super::pick::Set;
use super::{BalanceConfig, BalanceError, Endpoints, Pending, ResponseFuture, elsewhere};

/// A service that assigns each call to one of a set of endpoints.
///
/// `K` identifies an endpoint (an address), `S` calls one and is cloned for each call, `C` decides which results are
/// failures. There is no layer, since it does not wrap one service but has many.
///
/// A clone that is used again checks with one atomic load that the set is unchanged. A clone that is created for a
/// single call takes a read lock first, which waits only while a pointer is exchanged. A clone that was never called
/// holds no endpoints: a removed endpoint is dropped once its calls have ended and the clones that used it are called
/// again or dropped.
pub struct Balance<K, S, C = ErrorsAreFailures> {
    shared: Arc<Shared<K, S>>,
    classify: C,
    /// See [`BalanceConfig::late`].
    late: Range<Duration>,
    /// The set at the last call.
    set: Option<Arc<Set<K, S>>>,
}

impl<K, S, C> Balance<K, S, C> {
    /// A balancer without endpoints; add some through [`endpoints`](Self::endpoints). The name is for people: the
    /// breaker of an endpoint is called `orders at 127.0.0.1:8081`.
    ///
    /// # Errors
    /// As [`BalanceConfig::validate`].
    pub fn new(
        name: impl Into<String>,
        config: &BalanceConfig,
        classify: C,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            shared: Arc::new(Shared::new(name.into(), config)?),
            classify,
            late: config.late..Duration::MAX,
            set: None,
        })
    }

    /// The handle of its endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints<K, S> {
        Endpoints::new(self.shared.clone())
    }

    /// Sets how the next calls of this clone are judged: by `classify`, and as a failure if dropped after a time in
    /// `late`. For callers that know more about a single call: its time limit, and from when on it was dropped so late
    /// that they themselves had no time to look.
    pub fn judge_by(&mut self, classify: C, late: Range<Duration>) {
        self.classify = classify;
        self.late = late;
    }

    fn set(&mut self) -> &Set<K, S> {
        let generation = self.shared.generation();
        let newest = self.set.take().filter(|set| set.generation >= generation);
        self.set.insert(newest.unwrap_or_else(|| self.shared.set()))
    }

    /// Picks the endpoint for one call; `None` if there is none. For callers that keep the [`Pending`] for longer than
    /// the response future lives; all others call the service.
    pub fn pick(&mut self) -> Option<Pending<K, S>> {
        let (now, avoid) = (Instant::now(), elsewhere::last());
        let late = self.late.clone();
        let (endpoint, admission) = self.set().pick(avoid, now, &mut rand::rng())?;
        elsewhere::set_last(endpoint.id);
        Some(Pending::new(endpoint.clone(), admission, now, late))
    }
}

impl<K, S, C, R> Service<R> for Balance<K, S, C>
where
    S: Service<R> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = BalanceError<S::Error>;
    type Future = ResponseFuture<K, S, R, C>;

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

impl<K, S, C: Clone> Clone for Balance<K, S, C> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            classify: self.classify.clone(),
            late: self.late.clone(),
            // The set is not cloned: an original that is only ever cloned would keep its first set for ever.
            set: None,
        }
    }
}

impl<K, S, C> fmt::Debug for Balance<K, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("endpoints", &self.endpoints())
            .finish_non_exhaustive()
    }
}
