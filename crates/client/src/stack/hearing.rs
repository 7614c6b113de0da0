//! Collects what the attempts of one call say about the peer, for the peer's breaker.
//!
//! The breaker judges not the end of a call but the last of its attempts that had a meaningful outcome: a call can end
//! early, because its caller's deadline passes or its caller goes away, after an attempt that timed out with its full
//! time. A breaker around the retry would never learn of that attempt, and callers with short deadlines would go on
//! calling a peer that hangs.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use resilience::bulkhead;
use resilience::circuit_breaker::{CircuitBreaker, Permit, Rejected};
use resilience::classify::Outcome;

tokio::task_local! {
    /// The call that is currently polled. Task-local, like the balancer's note: it allocates nothing, and the layers in
    /// between need not know of it.
    static CALL: Cell<Call>;
}

/// What is known about a call.
#[derive(Debug, Clone, Copy)]
struct Call {
    /// Its caller's deadline is shorter than our own configuration, or other calls have used up most of a shared time.
    is_hurried: bool,
    attempts: u32,
    /// Its request was streamed, so that a part of its time may have been spent waiting for the sender.
    is_streamed: bool,
    /// The outcome for the breaker, and how long the peer took.
    peer: Outcome,
    took: Duration,
    /// The outcome for an adaptive bulkhead.
    load: Outcome,
}

/// A call under way. However it ends, the breaker receives the outcome of its attempts when this is dropped.
pub(super) struct Hearing<'a> {
    call: Call,
    permit: Option<Permit<&'a CircuitBreaker>>,
}

impl<'a> Hearing<'a> {
    /// Acquires a permit from the breaker.
    pub(super) fn open(breaker: &'a CircuitBreaker, is_hurried: bool) -> Result<Self, Rejected> {
        let call = Call {
            is_hurried,
            attempts: 0,
            is_streamed: false,
            peer: Outcome::Ignored,
            took: Duration::ZERO,
            load: Outcome::Ignored,
        };
        Ok(Self {
            call,
            permit: Some(breaker.acquire()?),
        })
    }

    /// Runs the call's attempts and records what they report.
    pub(super) fn of<F: Future>(&mut self, attempts: F) -> Heard<'_, F> {
        Heard {
            call: &mut self.call,
            attempts,
        }
    }

    /// Reports the outcome to the bulkhead.
    pub(super) fn tell(&self, place: &mut bulkhead::Permit) {
        if self.call.is_streamed {
            place.forget();
        } else {
            place.record(self.call.load);
        }
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.record_took(self.call.peer, self.call.took);
        }
    }
}

pin_project! {
    /// The attempts of a call.
    pub(super) struct Heard<'a, F> {
        call: &'a mut Call,
        #[pin]
        attempts: F,
    }
}

impl<F: Future> Future for Heard<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        CALL.sync_scope(Cell::new(**this.call), || {
            let polled = this.attempts.poll(cx);
            **this.call = CALL.with(Cell::get);
            polled
        })
    }
}

/// Records the start of an attempt. Returns its number, and whether it counts as having its full time even if it has less
/// than an attempt's timeout: true for the first attempt of a call that is not hurried, since then only our own deadline can
/// be the shorter one.
pub(super) fn begin(is_streamed: bool) -> (u32, bool) {
    let (mut attempt, mut is_full) = (1, false);
    change(|call| {
        is_full = call.attempts == 0 && !call.is_hurried;
        call.attempts += 1;
        attempt = call.attempts;
        call.is_streamed |= is_streamed;
    });
    (attempt, is_full)
}

/// Records the end of an attempt: its outcome for the peer, if any, how long the peer took, and its outcome for the
/// load. The breaker judges the time of this attempt, not of the call: earlier attempts and the pauses between them say
/// nothing about the peer as a whole.
pub(super) fn report(peer: Option<Outcome>, took: Duration, load: Outcome) {
    change(|call| {
        if let Some(peer) = peer {
            (call.peer, call.took) = (peer, took);
        }
        call.load = load;
    });
}

fn change(with: impl FnOnce(&mut Call)) {
    // Every attempt runs inside of a hearing, so that the value is set.
    let _ = CALL.try_with(|cell| {
        let mut call = cell.get();
        with(&mut call);
        cell.set(call);
    });
}
