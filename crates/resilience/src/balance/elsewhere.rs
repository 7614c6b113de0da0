//! Sends the next attempt of a call to another endpoint.

use std::cell::Cell;
use std::task::{Context, Poll};

use tokio::task::futures::TaskLocalFuture;
use tower::{Layer, Service};

use super::endpoint::NOBODY;

tokio::task_local! {
    /// The endpoint that this call was last given to.
    static LAST: Cell<u64>;
}

/// That endpoint, or [`NOBODY`].
pub(super) fn last() -> u64 {
    LAST.try_with(Cell::get).unwrap_or(NOBODY)
}

pub(super) fn set_last(id: u64) {
    // Without the layer nobody wants to know.
    let _ = LAST.try_with(|last| last.set(id));
}

/// Put it around the retry: the attempts of one call then do not go to the same endpoint twice in a row, if
/// there is another.
///
/// A note for the task, not an extension of the request: it works for every type of request, allocates nothing, and
/// the retry between need not know of it. It is lost where an attempt runs in a task of its own; then the
/// retry goes anywhere, and the cost of the failure steers it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryElsewhereLayer;

impl<S> Layer<S> for RetryElsewhereLayer {
    type Service = RetryElsewhere<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryElsewhere { inner }
    }
}

/// What [`RetryElsewhereLayer`] makes.
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
        // The first attempt may be given away right here, the next ones when the future is polled.
        let (future, last) =
            LAST.sync_scope(Cell::new(NOBODY), || (self.inner.call(request), last()));
        LAST.scope(Cell::new(last), future)
    }
}
