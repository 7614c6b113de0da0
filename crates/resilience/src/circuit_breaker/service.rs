//! The service.

use std::task::{Context, Poll};

use tower::Service;

use crate::classify::Classify;

use super::{CircuitBreaker, CircuitBreakerError, ResponseFuture};

/// A service behind a breaker.
///
/// The breaker is asked in `call`, not in `poll_ready`. Readiness may be polled and never used, by a balancer that
/// keeps several services ready, or for longer than the answer is valid; a probe's place taken there would be held
/// without a call, and none would be left when half-open. The cost: a refusal waits until the inner service is ready,
/// although it does not need it. So layers that make callers wait (a bulkhead) belong outside of the breaker, and
/// readiness inside of it is immediate. It is allowed to poll the inner service ready and then not call it: it stays
/// ready.
#[derive(Debug, Clone)]
pub struct CircuitBreak<S, C> {
    inner: S,
    breaker: CircuitBreaker,
    classify: C,
}

impl<S, C> CircuitBreak<S, C> {
    /// Puts `breaker` in front of `inner`; `classify` decides which results are failures.
    pub fn new(inner: S, breaker: CircuitBreaker, classify: C) -> Self {
        Self {
            inner,
            breaker,
            classify,
        }
    }

    /// The breaker.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }
}

impl<S, C, R> Service<R> for CircuitBreak<S, C>
where
    S: Service<R>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = CircuitBreakerError<S::Error>;
    type Future = ResponseFuture<S::Future, C>;

    /// The inner service's readiness. Its errors are not counted: no call was made.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(CircuitBreakerError::Inner)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        // Owned, since a tower future cannot borrow from its service.
        match self.breaker.acquire_owned() {
            Ok(permit) => {
                ResponseFuture::call(self.inner.call(request), permit, self.classify.clone())
            }
            Err(rejected) => ResponseFuture::rejected(rejected),
        }
    }
}
