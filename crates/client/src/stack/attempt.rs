//! One attempt: its time limit, the time that it announces to the peer, and how its outcome is judged.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use resilience::balance::{self, BalanceError};
use resilience::deadline::Deadline;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;
use tracing::Span;

use super::{Balanced, Shared, Wire, hearing, hop};
use crate::body::{RequestBody, Sending, Turn};
use crate::failure::{AttemptError, Failure, Judge};

/// The longest time by which an attempt ends before the call's deadline, so that its outcome is still recorded and the
/// caller gets the actual error.
const MARGIN_MAX: Duration = Duration::from_millis(10);
/// The margin is this fraction (one twentieth) of the remaining time if that is shorter than [`MARGIN_MAX`].
const MARGIN_PART: u32 = 20;

/// The time that is announced to the peer is this much longer than the attempt: tonic's channel reads `grpc-timeout`,
/// too, and would time out at the same moment.
const WIRE_MARGIN: Duration = Duration::from_millis(5);

/// A timer that fires this much too late says that this process had no processor, or blocked a thread: what came of the
/// attempt meanwhile, or did not, says nothing about the peer. Such a process needs this long for each of the half
/// dozen steps of a call of its own.
const STARVED: Duration = Duration::from_millis(500);

/// Limits an attempt to its timeout and to what is left of the call's deadline, announces that time to the peer, and
/// judges the outcome.
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
        let (attempt, is_first_in_our_time) = hearing::begin(sending.is_some());
        let judge = Judge {
            is_full: is_first_in_our_time || bound == self.shared.peer.config.attempt,
            was_reached: self.shared.was_reached(),
        };
        // When the timeout drops the call, the balancer records the attempt as this judge says. The time of a streamed
        // request is not passed on, since a part of it was spent waiting for the sender, not for the endpoint.
        let late = match judge.is_full && sending.is_none() {
            true => bound..bound + STARVED,
            false => Duration::MAX..Duration::MAX,
        };
        self.inner.judge_by(judge, late);
        // A streamed request may take up to twice as long: the peer's time starts only once the sender has sent the
        // whole body.
        let told = match &sending {
            Some(_) => bound * 2,
            None => bound,
        };
        self.wire.stamp(request.headers_mut(), told + WIRE_MARGIN);
        let span = hop::begin(&self.shared, self.wire, &mut request, attempt);
        ResponseFuture {
            // Inside, so that a fault that is injected into it is recorded there.
            call: span.in_scope(|| self.inner.call(request)),
            span,
            wire: self.wire,
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
        // Made when the call is first found pending, so that a call that is answered at once costs no timer.
        #[pin]
        sleep: Option<Sleep>,
        bound: Duration,
        // Counted from the call, not from the first poll, which on a busy machine may come so late that the deadline
        // passes first.
        until: Instant,
        sending: Option<Arc<Sending>>,
        judge: Judge,
        shared: Arc<Shared>,
        span: Span,
        wire: Wire,
    }
}

impl<F, T> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<T>, BalanceError<Failure>>>,
{
    type Output = Result<Response<T>, AttemptError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _entered = this.span.enter();
        // Poll the call first: an answer that is there counts, even if the time is up as well.
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
        let is_starved = this.sleep.as_pin_mut().is_some_and(|sleep| {
            let late = Instant::now().saturating_duration_since(sleep.deadline());
            late >= STARVED
        });
        let judge = Judge {
            is_full: this.judge.is_full && !is_starved,
            ..*this.judge
        };
        let heard = result.as_ref();
        let took = took(*this.until - *this.bound, this.sending.as_deref());
        hearing::report(judge.peer(heard), took, judge.endpoint(heard));
        hop::end(this.span, *this.wire, heard);
        match heard {
            Ok(_) => this.shared.reached(),
            Err(error) => this.shared.failed(error),
        }
        Poll::Ready(result)
    }
}

/// The time that the peer took, counted from the moment when the whole request was sent; zero if it answered before
/// that.
fn took(began: Instant, sending: Option<&Sending>) -> Duration {
    match sending.map(Sending::turn) {
        None => began.elapsed(),
        Some(Turn::Done(at)) => at.elapsed(),
        Some(Turn::Senders | Turn::Peers) => Duration::ZERO,
    }
}

/// What happens when the time is up, depending on which side the request waits for. The peer has its full time from the
/// moment when the whole request was sent. Returns the end of that time if it is still to come, otherwise the error.
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
