//! The service.

use std::task::{Context, Poll};

use tower::Service;

use crate::classify::Classify;

use super::{CircuitBreaker, CircuitBreakerError, ResponseFuture};

/// A service behind a breaker.
///
/// The breaker is asked in `call`, not in `poll_ready`. Readiness may be asked for and never used, by a balancer
/// that keeps several services ready, or for longer than the answer holds; a probe's place taken there would be
/// held by nobody, and half-open would have none left. The price: a refusal waits until the inner service is
/// ready, although it does not need it. So whatever makes callers wait (a bulkhead) belongs outside of the
/// breaker, and readiness inside of it is immediate. That the inner service was asked for readiness and is then not
/// called is allowed: it stays ready.
#[derive(Debug, Clone)]
pub struct CircuitBreak<S, C> {
    inner: S,
    breaker: CircuitBreaker,
    classify: C,
}

impl<S, C> CircuitBreak<S, C> {
    /// Puts `breaker` before `inner`; `classify` says what results mean.
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
        // Owned, since a future of tower cannot borrow from its service.
        match self.breaker.acquire_owned() {
            Ok(permit) => {
                ResponseFuture::call(self.inner.call(request), permit, self.classify.clone())
            }
            Err(rejected) => ResponseFuture::rejected(rejected),
        }
    }
}
