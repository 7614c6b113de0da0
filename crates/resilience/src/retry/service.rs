//! The service.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::shared::Shared;
use super::{Policy, ResponseFuture};

/// A service with retries, created by [`RetryLayer`](super::RetryLayer).
///
/// The cost of a call that succeeds at once: the copy of its request, if the policy makes one, a clone of the inner
/// service, and two atomic additions. This layer itself allocates nothing. The copy of an HTTP request is two
/// allocations for its headers (and, the first time, one for each of their names and values that no other request
/// shares) and three for extensions, if there are any; a body of `Bytes` is shared.
#[derive(Debug)]
pub struct Retry<S, P> {
    inner: S,
    shared: Arc<Shared<P>>,
}

impl<S, P> Retry<S, P> {
    #[inline]
    pub(super) fn new(inner: S, shared: Arc<Shared<P>>) -> Self {
        Self { inner, shared }
    }
}

// Not derived: the policy need not be `Clone`.
impl<S: Clone, P> Clone for Retry<S, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl<S, P, R> Service<R> for Retry<S, P>
where
    S: Service<R> + Clone,
    P: Policy<R, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let shared = &self.shared;
        shared.counters.calls.add_one();
        shared.budget.deposit();
        let copy = match shared.config.max_attempts {
            1 => None,
            _ => shared.policy.copy(&request),
        };
        // Cloned before the call; the original is called, since only it was polled ready. For a call that cannot be
        // repeated nothing is cloned.
        let again = copy.map(|copy| (self.inner.clone(), self.shared.clone(), copy));
        ResponseFuture::new(self.inner.call(request), again)
    }
}
