//! One attempt: how long it may take, what it tells the peer of that, and what we learn when it fails.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request};
use pin_project_lite::pin_project;
use resilience::balance::BalanceError;
use resilience::deadline::{Deadline, GRPC_TIMEOUT_HEADER, TIMEOUT_HEADER, wire};
use resilience::timeout::{self, Timeout};
use tower::Service;

use super::Shared;
use crate::failure::{AttemptError, Failure};

/// An attempt ends this long before the call's deadline, at most, so that it is still heard how it ended: an
/// attempt that is dropped by the deadline says nothing to the breaker, and a peer that hangs would never open it.
const MARGIN_MAX: Duration = Duration::from_millis(10);
/// And this part of what is left, if that is less.
const MARGIN_PART: u32 = 20;

/// What the peer is told is this much longer than the attempt: tonic's channel reads `grpc-timeout`, too, and would
/// give up at the same moment, without saying whether the caller was in a hurry.
const WIRE_MARGIN: Duration = Duration::from_millis(5);

/// How a protocol says how long the caller waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire {
    /// `x-request-timeout-ms`.
    Http,
    /// `grpc-timeout`.
    Grpc,
}

impl Wire {
    fn stamp(self, headers: &mut HeaderMap, left: Duration) {
        match self {
            Self::Http => headers.insert(TIMEOUT_HEADER, wire::http_timeout(left)),
            Self::Grpc => headers.insert(GRPC_TIMEOUT_HEADER, wire::grpc_timeout(left)),
        };
    }
}

/// Bounds an attempt by its timeout and by what is left of the call's deadline, tells the peer how long that is, and
/// takes note of failures.
#[derive(Clone)]
pub(crate) struct Attempt<S> {
    inner: Timeout<S>,
    wire: Wire,
    shared: Arc<Shared>,
}

impl<S> Attempt<S> {
    pub(super) fn new(inner: S, wire: Wire, shared: Arc<Shared>) -> Self {
        let inner = Timeout::new(inner, shared.peer.config.attempt);
        Self {
            inner,
            wire,
            shared,
        }
    }

    fn bound(&self) -> Duration {
        let usual = self.shared.peer.config.attempt;
        Deadline::current().map_or(usual, |deadline| {
            let left = deadline.remaining();
            usual.min(left - MARGIN_MAX.min(left / MARGIN_PART))
        })
    }
}

impl<S, B> Service<Request<B>> for Attempt<S>
where
    S: Service<Request<B>, Error = BalanceError<Failure>>,
{
    type Response = S::Response;
    type Error = AttemptError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let bound = self.bound();
        self.wire.stamp(request.headers_mut(), bound + WIRE_MARGIN);
        self.inner.set_after(bound);
        ResponseFuture {
            call: self.inner.call(request),
            shared: Arc::clone(&self.shared),
        }
    }
}

pin_project! {
    /// The answer to one attempt.
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        call: timeout::ResponseFuture<F>,
        shared: Arc<Shared>,
    }
}

impl<F, T> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, BalanceError<Failure>>>,
{
    type Output = Result<T, AttemptError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(cx));
        if let Err(error) = &result {
            this.shared.failed(error);
        }
        Poll::Ready(result)
    }
}
