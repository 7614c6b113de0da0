//! The call, whole or broken.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

pin_project! {
    /// Resolves with the call's answer, later, or with another one, or never.
    #[derive(Debug)]
    pub struct ResponseFuture<F, T, E> {
        // In a box, so that calls which are not delayed are not larger by a timer.
        delay: Option<Pin<Box<Sleep>>>,
        #[pin]
        end: End<F, T, E>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = EndProjection]
    enum End<F, T, E> {
        // Made at once and not polled until the delay is over, so that no service is kept for it. What the
        // call takes when it is made, such as a place in a bulkhead, it holds meanwhile, as in a slow network.
        Call { #[pin] call: F },
        Answer { answer: Option<Result<T, E>> },
        Hang,
    }
}

impl<F, T, E> ResponseFuture<F, T, E> {
    fn new(end: End<F, T, E>) -> Self {
        Self { delay: None, end }
    }

    pub(super) fn call(call: F) -> Self {
        Self::new(End::Call { call })
    }

    pub(super) fn answer(answer: Result<T, E>) -> Self {
        let answer = Some(answer);
        Self::new(End::Answer { answer })
    }

    pub(super) fn hang() -> Self {
        Self::new(End::Hang)
    }

    pub(super) fn delayed(mut self, delay: Duration) -> Self {
        if !delay.is_zero() {
            self.delay = Some(Box::pin(tokio::time::sleep(delay)));
        }
        self
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for ResponseFuture<F, T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(delay) = this.delay {
            ready!(delay.as_mut().poll(cx));
            *this.delay = None;
        }
        match this.end.project() {
            EndProjection::Call { call } => call.poll(cx),
            EndProjection::Answer { answer } => {
                Poll::Ready(answer.take().expect("polled after it was done"))
            }
            // No waker is kept: nothing will ever wake it.
            EndProjection::Hang => Poll::Pending,
        }
    }
}
