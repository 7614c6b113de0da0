//! One attempt: how long it may take, what it tells the peer of that, and what we learn when it ends.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use resilience::balance::{self, BalanceError};
use resilience::deadline::{Deadline, GRPC_TIMEOUT_HEADER, TIMEOUT_HEADER, wire};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::{Balanced, Shared, hearing};
use crate::body::{RequestBody, Sending, Turn};
use crate::failure::{AttemptError, Failure, Judge};

/// An attempt ends this long before the call's deadline, at most, so that it is still heard how it ended, and told to
/// the caller as what it was.
const MARGIN_MAX: Duration = Duration::from_millis(10);
/// And this part of what is left, if that is less.
const MARGIN_PART: u32 = 20;

/// What the peer is told is this much longer than the attempt: tonic's channel reads `grpc-timeout`, too, and would
/// give up at the same moment.
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
/// judges how it ends.
pub(crate) struct Attempt<S> {
    inner: Balanced<S>,
    wire: Wire,
    shared: Arc<Shared>,
}

impl<S> Attempt<S> {
    pub(super) fn new(inner: Balanced<S>, wire: Wire, shared: Arc<Shared>) -> Self {
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

impl<S> Clone for Attempt<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            wire: self.wire,
            shared: Arc::clone(&self.shared),
        }
    }
}

type Balancing<S> = balance::ResponseFuture<SocketAddr, S, Request<RequestBody>, Judge>;

impl<S, T> Service<Request<RequestBody>> for Attempt<S>
where
    S: Service<Request<RequestBody>, Response = Response<T>, Error = Failure> + Clone,
{
    type Response = Response<T>;
    type Error = AttemptError;
    type Future = ResponseFuture<Balancing<S>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx).map_err(AttemptError::from)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let bound = self.bound();
        let sending = request.body().sending();
        let is_first_in_our_time = hearing::begin(sending.is_some());
        let judge = Judge {
            is_full: is_first_in_our_time || bound == self.shared.peer.config.attempt,
            was_reached: self.shared.was_reached(),
        };
        // Dropped when the time is up, the balancer's part of it counts as the judge would have it. How long a
        // stream was waited for is not the endpoint's time.
        let late = match judge.is_full && sending.is_none() {
            true => bound,
            false => Duration::MAX,
        };
        self.inner.judge_by(judge, late);
        // While the sender is waited for, the peer's time does not run.
        let told = match &sending {
            Some(_) => bound * 2,
            None => bound,
        };
        self.wire.stamp(request.headers_mut(), told + WIRE_MARGIN);
        ResponseFuture {
            call: self.inner.call(request),
            sleep: None,
            bound,
            until: Instant::now() + bound,
            sending,
            judge,
            shared: Arc::clone(&self.shared),
        }
    }
}

pin_project! {
    /// The answer to one attempt.
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        call: F,
        // Made when the call is first found pending: one that answers at once costs no timer.
        #[pin]
        sleep: Option<Sleep>,
        bound: Duration,
        // Not counted from the first poll: on a busy machine that may be so late that the deadline comes first.
        until: Instant,
        sending: Option<Arc<Sending>>,
        judge: Judge,
        shared: Arc<Shared>,
    }
}

impl<F, T> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<T>, BalanceError<Failure>>>,
{
    type Output = Result<Response<T>, AttemptError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // The call first: an answer that is there counts, even if the time is up as well.
        let result = match this.call.poll(cx) {
            Poll::Ready(result) => result.map_err(AttemptError::from),
            Poll::Pending => loop {
                if this.sleep.is_none() {
                    this.sleep.set(Some(sleep_until(*this.until)));
                }
                if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                    ready!(sleep.poll(cx));
                }
                match over(*this.bound, this.sending.as_deref()) {
                    Ok(until) => this.sleep.set(Some(sleep_until(until))),
                    Err(error) => {
                        let after_ms = this.bound.as_millis();
                        tracing::debug!(after_ms, "no answer in time");
                        break Err(error);
                    }
                }
            },
        };
        let heard = result.as_ref();
        let took = took(*this.until - *this.bound, this.sending.as_deref());
        hearing::report(this.judge.peer(heard), took, this.judge.endpoint(heard));
        match heard {
            Ok(_) => this.shared.reached(),
            Err(error) => this.shared.failed(error),
        }
        Poll::Ready(result)
    }
}

/// How long the peer took: from the moment on when the whole request is there. If it answers before, it took no time.
fn took(began: Instant, sending: Option<&Sending>) -> Duration {
    match sending.map(Sending::turn) {
        None => began.elapsed(),
        Some(Turn::Done(at)) => at.elapsed(),
        Some(Turn::Senders | Turn::Peers) => Duration::ZERO,
    }
}

/// The time is up: who was waited for? A peer has its time from the moment on when the whole request is there; the end
/// of that time is the answer if it has not come yet.
fn over(bound: Duration, sending: Option<&Sending>) -> Result<Instant, AttemptError> {
    match sending.map(Sending::turn) {
        Some(Turn::Senders) => Err(AttemptError::Stalled(bound)),
        Some(Turn::Done(at)) => {
            let until = at + bound;
            match until <= Instant::now() {
                true => Err(AttemptError::TimedOut(bound)),
                false => Ok(until),
            }
        }
        Some(Turn::Peers) | None => Err(AttemptError::TimedOut(bound)),
    }
}
