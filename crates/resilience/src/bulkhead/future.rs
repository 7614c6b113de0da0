//! The states of a call: refused, waiting for its place, or inside.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use super::handle::Waiting;
use super::{BulkheadError, Permit, Rejected};
use crate::classify::Classify;

/// Boxed, unlike everything else here: only a call that waits pays for it, and all other futures are smaller by a timer
/// and a node of the semaphore's queue.
type Wait = Pin<Box<dyn Future<Output = Result<Permit, Rejected>> + Send>>;

pin_project! {
    /// Resolves with the call's answer, or with the reason why it was not made.
    pub struct ResponseFuture<S, R, C>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, S::Future, R>,
        classify: C,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, R> {
        Refused { rejected: Option<Rejected> },
        Waiting { wait: Wait, call: Option<(S, R)> },
        // The permit is released when the answer is there, not when the future is dropped: `join_all` keeps finished
        // futures until the last one is finished.
        Inside { #[pin] call: F, permit: Option<Permit> },
    }
}

impl<S: Service<R>, R, C> ResponseFuture<S, R, C> {
    pub(super) fn refused(rejected: Rejected, classify: C) -> Self {
        let rejected = Some(rejected);
        Self {
            state: State::Refused { rejected },
            classify,
        }
    }

    pub(super) fn waiting(waiting: Waiting, service: S, request: R, classify: C) -> Self {
        let wait = Box::pin(waiting.wait());
        let call = Some((service, request));
        Self {
            state: State::Waiting { wait, call },
            classify,
        }
    }

    #[inline]
    pub(super) fn inside(call: S::Future, permit: Permit, classify: C) -> Self {
        let permit = Some(permit);
        Self {
            state: State::Inside { call, permit },
            classify,
        }
    }
}

impl<S, R, C> Future for ResponseFuture<S, R, C>
where
    S: Service<R>,
    C: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, BulkheadError<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Refused { rejected } => {
                    let rejected = rejected.take().expect("polled after it was done");
                    return Poll::Ready(Err(rejected.into()));
                }
                StateProjection::Waiting { wait, call } => {
                    let permit = ready!(wait.as_mut().poll(cx))?;
                    let (mut service, request) = call.take().expect("polled after it was done");
                    let call = service.call(request);
                    let permit = Some(permit);
                    this.state.set(State::Inside { call, permit });
                }
                StateProjection::Inside { call, permit } => {
                    let result = ready!(call.poll(cx));
                    if let Some(mut permit) = permit.take() {
                        permit.record(this.classify.classify(result.as_ref()));
                    }
                    return Poll::Ready(result.map_err(BulkheadError::Inner));
                }
            }
        }
    }
}

impl<S: Service<R>, R, C> fmt::Debug for ResponseFuture<S, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Refused { .. } => "refused",
            State::Waiting { .. } => "waiting",
            State::Inside { .. } => "inside",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
