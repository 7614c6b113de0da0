//! Sends the next attempt of a call to another endpoint.

use std::cell::Cell;
use std::task::{Context, Poll};

use tokio::task::futures::TaskLocalFuture;
use tower::{Layer, Service};

use super::endpoint::NOBODY;

tokio::task_local! {
    /// The endpoint that the last attempt of this call went to.
    static LAST: Cell<u64>;
}

/// The endpoint of the last attempt, or [`NOBODY`].
pub(super) fn last() -> u64 {
    LAST.try_with(Cell::get).unwrap_or(NOBODY)
}

pub(super) fn set_last(id: u64) {
    // Fails without the layer, when the value is not needed.
    let _ = LAST.try_with(|last| last.set(id));
}

/// Put it around the retry: consecutive attempts of one call then go to different endpoints, if there is more than one.
///
/// It uses a task-local value, not an extension of the request: that works for every type of request, allocates
/// nothing, and the retry in between need not know of it. The value is lost if an attempt runs in its own task; then
/// the retry may go to any endpoint, and only the cost of the failure steers it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryElsewhereLayer;

impl<S> Layer<S> for RetryElsewhereLayer {
    type Service = RetryElsewhere<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryElsewhere { inner }
    }
}

/// The service that [`RetryElsewhereLayer`] creates.
#[derive(Debug, Clone)]
pub struct RetryElsewhere<S> {
    inner: S,
}

impl<S: Service<R>, R> Service<R> for RetryElsewhere<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Cell<u64>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The first attempt may be assigned to an endpoint right here, the later ones when the future is polled.
        let (future, last) =
            LAST.sync_scope(Cell::new(NOBODY), || (self.inner.call(request), last()));
        LAST.scope(Cell::new(last), future)
    }
}
