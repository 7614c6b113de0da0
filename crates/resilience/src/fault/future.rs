//! A call, possibly with a fault.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

pin_project! {
    /// Resolves with the call's answer, possibly delayed, or with an injected one, or never.
    #[derive(Debug)]
    pub struct ResponseFuture<F, T, E> {
        // Boxed, so that calls without a delay are not larger by a timer.
        delay: Option<Pin<Box<Sleep>>>,
        #[pin]
        end: End<F, T, E>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = EndProjection]
    enum End<F, T, E> {
        // Created at once but not polled until the delay has passed, so that no service has to be kept for it.
        // Resources that the call takes when it is created, such as a place in a bulkhead, are held in the meantime, as
        // with a slow network.
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
            // No waker is registered, since nothing will ever wake it.
            EndProjection::Hang => Poll::Pending,
        }
    }
}
