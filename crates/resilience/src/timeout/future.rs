//! The call and its clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::TimeoutError;

pin_project! {
    /// Resolves with the call's answer, or with [`TimeoutError::TimedOut`] when its time is up.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        call: F,
        #[pin]
        sleep: Sleep,
        after: Duration,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(call: F, after: Duration) -> Self {
        Self {
            call,
            sleep: tokio::time::sleep(after),
            after,
        }
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for ResponseFuture<F> {
    type Output = Result<T, TimeoutError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The call first: an answer that is there counts, even if the time is up as well.
        if let Poll::Ready(answer) = this.call.poll(cx) {
            return Poll::Ready(answer.map_err(TimeoutError::Inner));
        }
        this.sleep
            .poll(cx)
            .map(|()| Err(TimeoutError::TimedOut(*this.after)))
    }
}
