//! The attempts of one call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::Service;

use crate::deadline::Deadline;
use backoff::Backoff;

use super::shared::Shared;
use super::stats::Counter;
use super::{Policy, Verdict};

pin_project! {
    /// Resolves with the result of the last attempt.
    pub struct ResponseFuture<S, P, R>
    where
        S: Service<R>,
    {
        // `None` if the call cannot be repeated.
        again: Option<Again<S, P, R>>,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Attempt { #[pin] call: F },
        Backoff { #[pin] sleep: Sleep },
        // The wait has ended, but the service is not ready yet.
        Ready,
    }
}

/// The state that another attempt needs.
struct Again<S, P, R> {
    service: S,
    shared: Arc<Shared<P>>,
    /// The request of the next attempt, if there is one; until then the policy inspects it.
    request: R,
    retries: u32,
    backoff: Backoff,
}

impl<S: Service<R>, P, R> ResponseFuture<S, P, R> {
    #[inline]
    pub(super) fn new(call: S::Future, again: Option<(S, Arc<Shared<P>>, R)>) -> Self {
        let again = again.map(|(service, shared, request)| Again {
            service,
            backoff: Backoff::new(shared.config.backoff_base, shared.config.backoff_cap),
            shared,
            request,
            retries: 0,
        });
        Self {
            again,
            state: State::Attempt { call },
        }
    }
}

impl<S, P, R> Future for ResponseFuture<S, P, R>
where
    S: Service<R>,
    P: Policy<R, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Attempt { call } => {
                    let result = ready!(call.poll(cx));
                    let again = this.again.as_mut();
                    let Some(wait) = again.and_then(|again| again.wait_after(result.as_ref()))
                    else {
                        return Poll::Ready(result);
                    };
                    // The attempt and its result are dropped before the wait, with the resources that they hold.
                    drop(result);
                    let sleep = tokio::time::sleep(wait);
                    this.state.set(State::Backoff { sleep });
                }
                StateProjection::Backoff { sleep } => {
                    ready!(sleep.poll(cx));
                    this.state.set(State::Ready);
                }
                StateProjection::Ready => {
                    if let Some(again) = this.again {
                        ready!(again.service.poll_ready(cx))?;
                    }
                    let again = this.again.take().expect("only a call that has it waits");
                    let (call, again) = again.retry();
                    *this.again = again;
                    this.state.set(State::Attempt { call });
                }
            }
        }
    }
}

impl<S, P, R> Again<S, P, R>
where
    S: Service<R>,
    P: Policy<R, S::Response, S::Error>,
{
    /// The wait before the next attempt, or `None` if the caller gets this result.
    fn wait_after(&mut self, result: Result<&S::Response, &S::Error>) -> Option<Duration> {
        let Shared {
            policy,
            config,
            budget,
            counters,
        } = &*self.shared;
        let last = |count: &Counter, reason| {
            count.add_one();
            tracing::debug!(attempts = self.retries + 1, reason, "not trying again");
            None
        };
        let asked = match policy.judge(&self.request, result) {
            Verdict::Final => {
                let is_saved = self.retries > 0;
                if is_saved && result.is_ok_and(|answer| policy.is_success(answer)) {
                    counters.retried_successes.add_one();
                }
                return None;
            }
            Verdict::Retry { after } => after.unwrap_or_default(),
        };
        if self.retries + 1 >= config.max_attempts {
            return last(&counters.attempts_exhausted, "that was the last attempt");
        }
        if asked > config.retry_after_max {
            return last(&counters.asked_too_long, "asked to wait for too long");
        }
        // In addition to the server's delay, since the server gave all of its callers the same one.
        let wait = asked.saturating_add(self.backoff.next());
        let needed = wait.saturating_add(config.least_left);
        if Deadline::current().is_some_and(|deadline| deadline.remaining() < needed) {
            return last(&counters.out_of_time, "the deadline would be over");
        }
        // Checked last, since a successful withdrawal is spent.
        if !budget.withdraw() {
            return last(&counters.budget_exhausted, "the budget is spent");
        }
        let (previous, wait_ms) = (self.retries + 1, wait.as_millis());
        tracing::debug!(previous, wait_ms, "trying again");
        Some(wait)
    }

    /// Starts the next attempt. Returns it with the state for a further one.
    fn retry(mut self) -> (S::Future, Option<Self>) {
        let Shared {
            policy, counters, ..
        } = &*self.shared;
        self.retries += 1;
        counters.retries.add_one();
        let copy = policy.copy(&self.request);
        policy.mark(&mut self.request, self.retries);
        let call = self.service.call(self.request);
        let again = copy.map(|request| Self {
            request,
            service: self.service,
            shared: self.shared,
            retries: self.retries,
            backoff: self.backoff,
        });
        (call, again)
    }
}
