//! The call and its permit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::classify::Classify;

use super::{CircuitBreaker, CircuitBreakerError, Permit, Rejected};

pin_project! {
    /// Resolves with the call's answer, or at once with [`CircuitBreakerError::Open`]. If it is dropped before that,
    /// the permit is returned and nothing is counted.
    #[derive(Debug)]
    pub struct ResponseFuture<F, C> {
        #[pin]
        step: Step<F, C>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StepProjection]
    enum Step<F, C> {
        Rejected { rejected: Rejected },
        Call {
            #[pin]
            call: F,
            // Taken when the answer arrives.
            permit: Option<Permit<CircuitBreaker>>,
            classify: C,
        },
    }
}

impl<F, C> ResponseFuture<F, C> {
    #[inline]
    pub(super) fn call(call: F, permit: Permit<CircuitBreaker>, classify: C) -> Self {
        let permit = Some(permit);
        Self {
            step: Step::Call {
                call,
                permit,
                classify,
            },
        }
    }

    pub(super) fn rejected(rejected: Rejected) -> Self {
        Self {
            step: Step::Rejected { rejected },
        }
    }
}

impl<F, T, E, C> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, CircuitBreakerError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepProjection::Rejected { rejected } => Poll::Ready(Err((*rejected).into())),
            StepProjection::Call {
                call,
                permit,
                classify,
            } => {
                let answer = ready!(call.poll(cx));
                if let Some(permit) = permit.take() {
                    permit.record_result(classify, &answer);
                }
                Poll::Ready(answer.map_err(CircuitBreakerError::Inner))
            }
        }
    }
}
