//! The service.

use std::task::{Context, Poll};

use tower::Service;

use super::{Bulkhead, BulkheadError, ResponseFuture};
use crate::classify::Classify;

/// A service whose calls need a place in a bulkhead.
#[derive(Debug, Clone)]
pub struct BulkheadService<S, C> {
    inner: S,
    bulkhead: Bulkhead,
    classify: C,
}

impl<S, C> BulkheadService<S, C> {
    #[inline]
    pub(super) fn new(inner: S, bulkhead: Bulkhead, classify: C) -> Self {
        Self {
            inner,
            bulkhead,
            classify,
        }
    }
}

impl<S, R, C> Service<R> for BulkheadService<S, C>
where
    S: Service<R> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = BulkheadError<S::Error>;
    type Future = ResponseFuture<S, R, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(BulkheadError::Inner)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let classify = self.classify.clone();
        if let Some(permit) = self.bulkhead.try_acquire() {
            return ResponseFuture::inside(self.inner.call(request), permit, classify);
        }
        match self.bulkhead.queue() {
            Ok(waiting) => {
                // The original, which was polled ready, goes with the call, as tower requires.
                let next = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, next);
                ResponseFuture::waiting(waiting, ready, request, classify)
            }
            Err(rejected) => ResponseFuture::refused(rejected, classify),
        }
    }
}
