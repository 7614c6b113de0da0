//! The service.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::Service;

use super::{Deadline, DeadlineError, ResponseFuture};

/// A service whose calls have a deadline. Time spent in `poll_ready` is not limited by it (there is no call yet); the
/// layers below it wait inside of the call.
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
    within: Duration,
}

impl<S> DeadlineService<S> {
    /// Limits each call of `inner` to `within`, and to the deadline under which it is made.
    pub fn new(inner: S, within: Duration) -> Self {
        Self { inner, within }
    }
}

impl<S: Service<R>, R> Service<R> for DeadlineService<S> {
    type Response = S::Response;
    type Error = DeadlineError<S::Error>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(DeadlineError::Inner)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let now = Instant::now();
        let own = Deadline::from(now, self.within);
        let deadline = Deadline::current().map_or(own, |outer| own.earlier(outer));
        let after = deadline.instant().saturating_duration_since(now);
        if after.is_zero() {
            return ResponseFuture::over();
        }
        let call = deadline.sync_scope(|| self.inner.call(request));
        ResponseFuture::new(call, deadline, after)
    }
}
