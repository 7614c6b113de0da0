//! What the attempts of one call say about the peer, for the peer's breaker.
//!
//! It is not the end of a call that is judged but the last of its attempts that said something: a call can end early,
//! when its caller has no more time or goes away, after an attempt that had its full time in vain. A breaker around the
//! retry would never hear of that one, and a peer that hangs would be asked on and on by callers with little patience.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use resilience::bulkhead;
use resilience::circuit_breaker::{CircuitBreaker, Permit, Rejected};
use resilience::classify::Outcome;

tokio::task_local! {
    /// Of the call that is polled now. A note for the task, as the balancer's: it allocates nothing, and the layers
    /// between need not know of it.
    static CALL: Cell<Call>;
}

/// What is known of a call.
#[derive(Debug, Clone, Copy)]
struct Call {
    /// Its caller has less patience than our own configuration.
    is_hurried: bool,
    attempts: u32,
    /// A part of its time was spent on waiting for its sender.
    is_streamed: bool,
    /// For the breaker, and how long the peer took to bring it.
    peer: Outcome,
    took: Duration,
    /// For a bulkhead that follows the peer.
    load: Outcome,
}

/// A call under way. However it ends, the breaker is told what its attempts said.
pub(super) struct Hearing<'a> {
    call: Call,
    permit: Option<Permit<&'a CircuitBreaker>>,
}

impl<'a> Hearing<'a> {
    /// Asks the breaker for a call.
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

    /// Does the call and takes down what its attempts say.
    pub(super) fn of<F: Future>(&mut self, attempts: F) -> Heard<'_, F> {
        Heard {
            call: &mut self.call,
            attempts,
        }
    }

    /// Tells the bulkhead.
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

/// A new attempt begins. Whether it has the time that our own configuration gives, if it has less than an attempt's: the
/// first one of a caller who is not in a hurry has, since it is our own deadline then that is shorter.
pub(super) fn begin(is_streamed: bool) -> bool {
    let mut is_full = false;
    change(|call| {
        is_full = call.attempts == 0 && !call.is_hurried;
        call.attempts += 1;
        call.is_streamed |= is_streamed;
    });
    is_full
}

/// An attempt ended: what it says about the peer, if anything, how long the peer took, and what it says about its load.
/// The breaker judges the time of this attempt, not of the call: others before it and the pauses between are not the
/// peer's as a whole.
pub(super) fn report(peer: Option<Outcome>, took: Duration, load: Outcome) {
    change(|call| {
        if let Some(peer) = peer {
            (call.peer, call.took) = (peer, took);
        }
        call.load = load;
    });
}

fn change(with: impl FnOnce(&mut Call)) {
    // All attempts are made inside of a hearing.
    let _ = CALL.try_with(|cell| {
        let mut call = cell.get();
        with(&mut call);
        cell.set(call);
    });
}
