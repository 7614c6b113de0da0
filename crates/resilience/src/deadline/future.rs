//! The call and its timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{Deadline, DeadlineError, Scope};

pin_project! {
    /// Resolves with the call's answer, or with [`DeadlineError::Exceeded`] at the deadline.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // `None` if the deadline had passed before the call, and once it passes during the call.
        #[pin]
        call: Option<Call<F>>,
        after: Duration,
    }
}

pin_project! {
    #[derive(Debug)]
    struct Call<F> {
        #[pin]
        answer: Scope<F>,
        deadline: Deadline,
        // Created when the call is first found pending, so that a call that is answered at once does not pay for a
        // timer; the later start does not matter for a longer wait.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(super) fn new(answer: F, deadline: Deadline, after: Duration) -> Self {
        let call = Call {
            answer: deadline.scope(answer),
            deadline,
            sleep: None,
        };
        Self {
            call: Some(call),
            after,
        }
    }

    /// The future of a call whose deadline has already passed.
    pub(super) fn over() -> Self {
        Self {
            call: None,
            after: Duration::ZERO,
        }
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for ResponseFuture<F> {
    type Output = Result<T, DeadlineError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(call) = this.call.as_mut().as_pin_mut() {
            let mut call = call.project();
            // The call is polled first: an answer that is there counts, even if the time is up as well.
            if let Poll::Ready(answer) = call.answer.poll(cx) {
                return Poll::Ready(answer.map_err(DeadlineError::Inner));
            }
            if call.sleep.is_none() {
                let at = call.deadline.instant();
                call.sleep.set(Some(tokio::time::sleep_until(at)));
            }
            if let Some(sleep) = call.sleep.as_pin_mut()
                && sleep.poll(cx).is_pending()
            {
                return Poll::Pending;
            }
        }
        // Dropped now and not with this future, which its owner may keep, so that the work ends at the deadline.
        this.call.set(None);
        let after_ms = this.after.as_millis();
        tracing::debug!(after_ms, "the deadline is over");
        Poll::Ready(Err(DeadlineError::Exceeded { after: *this.after }))
    }
}
