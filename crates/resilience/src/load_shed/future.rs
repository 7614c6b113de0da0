//! The states of a call: refused, waiting to begin, or begun.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use super::handle::Waiting;
use super::{LoadShedError, Overloaded, Permit};

/// Boxed: only a call that waits pays for it, and all other futures are smaller by a timer.
type Wait = Pin<Box<dyn Future<Output = Result<Permit, Overloaded>> + Send>>;

pin_project! {
    /// Resolves with the call's answer, or with [`LoadShedError::Overloaded`].
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, S::Future, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, R> {
        Refused { overloaded: Option<Overloaded> },
        Waiting { wait: Wait, call: Option<(S, R)> },
        // Without a permit the call is exempt. Otherwise the permit is released with the answer, however long the
        // future is kept.
        Begun { #[pin] call: F, permit: Option<Permit> },
    }
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    pub(super) fn refused(overloaded: Overloaded) -> Self {
        let overloaded = Some(overloaded);
        Self {
            state: State::Refused { overloaded },
        }
    }

    pub(super) fn waiting(waiting: Waiting, service: S, request: R) -> Self {
        let wait = Box::pin(waiting.wait());
        let call = Some((service, request));
        Self {
            state: State::Waiting { wait, call },
        }
    }

    pub(super) fn begun(call: S::Future, permit: Option<Permit>) -> Self {
        Self {
            state: State::Begun { call, permit },
        }
    }
}

impl<S: Service<R>, R> Future for ResponseFuture<S, R> {
    type Output = Result<S::Response, LoadShedError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Refused { overloaded } => {
                    let overloaded = overloaded.take().expect("polled after it was done");
                    return Poll::Ready(Err(overloaded.into()));
                }
                StateProjection::Waiting { wait, call } => {
                    let permit = ready!(wait.as_mut().poll(cx))?;
                    let (mut service, request) = call.take().expect("polled after it was done");
                    let call = service.call(request);
                    let permit = Some(permit);
                    this.state.set(State::Begun { call, permit });
                }
                StateProjection::Begun { call, permit } => {
                    let result = ready!(call.poll(cx));
                    drop(permit.take());
                    return Poll::Ready(result.map_err(LoadShedError::Inner));
                }
            }
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Refused { .. } => "refused",
            State::Waiting { .. } => "waiting",
            State::Begun { .. } => "begun",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
