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
        // Made when the call is first found pending: a call that answers at once then costs no look at the clock and
        // no timer. The time before that is nobody's wait.
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
        // The call first: an answer that is there counts, even if the time is up as well.
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
