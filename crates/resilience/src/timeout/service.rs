//! The service.

use std::task::{Context, Poll};
use std::time::Duration;

use tower::Service;

use super::{ResponseFuture, TimeoutError};

/// A service whose calls are limited in time. Waiting for readiness is not limited; that is the bulkhead's task.
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    after: Duration,
}

impl<S> Timeout<S> {
    /// Limits each call of `inner` to `after`.
    pub fn new(inner: S, after: Duration) -> Self {
        Self { inner, after }
    }

    /// Limits the next calls to `after`: for callers whose limit differs from call to call, e.g. with the remaining
    /// time of a deadline.
    pub fn set_after(&mut self, after: Duration) {
        self.after = after;
    }
}

impl<S: Service<R>, R> Service<R> for Timeout<S> {
    type Response = S::Response;
    type Error = TimeoutError<S::Error>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(TimeoutError::Inner)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.after)
    }
}
