//! The call and its timer.

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
        // Created when the call is first found pending, so that a call that is answered at once reads no clock and
        // creates no timer. The time before that is not waiting time.
        #[pin]
        sleep: Option<Sleep>,
        after: Duration,
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(super) fn new(call: F, after: Duration) -> Self {
        Self {
            call,
            sleep: None,
            after,
        }
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for ResponseFuture<F> {
    type Output = Result<T, TimeoutError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // The call is polled first: an answer that is there counts, even if the time is up as well.
        if let Poll::Ready(answer) = this.call.poll(cx) {
            return Poll::Ready(answer.map_err(TimeoutError::Inner));
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep(*this.after)));
        }
        match this.sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
            Some(Poll::Ready(())) => {
                let after_ms = this.after.as_millis();
                tracing::debug!(after_ms, "no answer in time");
                Poll::Ready(Err(TimeoutError::TimedOut(*this.after)))
            }
            _ => Poll::Pending,
        }
    }
}
