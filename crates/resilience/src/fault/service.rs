//! The service.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::faults::End;
use super::{Faults, ResponseFuture};

/// A service with fault injection.
#[derive(Debug, Clone)]
pub struct FaultService<S, F> {
    inner: S,
    faults: Faults,
    target: Arc<str>,
    fail: F,
}

impl<S, F> FaultService<S, F> {
    pub(super) fn new(inner: S, faults: Faults, target: Arc<str>, fail: F) -> Self {
        Self {
            inner,
            faults,
            target,
            fail,
        }
    }
}

impl<S, R, F> Service<R> for FaultService<S, F>
where
    S: Service<R>,
    F: Fn() -> Result<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Some(fault) = self.faults.draw(&self.target) else {
            return ResponseFuture::call(self.inner.call(request));
        };
        // For the span of the call, if there is one that has this field.
        tracing::Span::current().record("fault.injected", fault.name());
        let future = match fault.end {
            End::Call => ResponseFuture::call(self.inner.call(request)),
            End::Fail => ResponseFuture::answer((self.fail)()),
            End::Hang => ResponseFuture::hang(),
        };
        future.delayed(fault.delay)
    }
}
