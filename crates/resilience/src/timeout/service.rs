//! The service.

use std::task::{Context, Poll};
use std::time::Duration;

use tower::Service;

use super::{ResponseFuture, TimeoutError};

/// A service whose calls are bounded in time. Waiting for readiness is not: that is the bulkhead's part.
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    after: Duration,
}

impl<S> Timeout<S> {
    /// Bounds each call of `inner` by `after`.
    pub fn new(inner: S, after: Duration) -> Self {
        Self { inner, after }
    }

    /// Bounds the next calls by `after`: for callers whose bound differs from call to call, e.g. by what is left of
    /// a deadline.
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
