//! The circuit breaker: no opening is lost, none happens twice, and no probe is let in twice.

use std::sync::atomic::AtomicBool;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use resilience::classify::Outcome;

mod sync {
    pub(super) use loom::sync::atomic::{
        AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering, fence,
    };
}

#[path = "../../src/circuit_breaker/padded.rs"]
mod padded;
#[expect(dead_code, reason = "the models need a part of it")]
#[path = "../../src/circuit_breaker/state.rs"]
mod state;
#[path = "../../src/circuit_breaker/window.rs"]
mod window;
#[expect(dead_code, reason = "the models need a part of it")]
#[path = "../../src/circuit_breaker/word.rs"]
mod word;

use state::{Change, Machine};
use window::{Verdict, Window};
use word::{Phase, Ticket};

/// An opening lasts until then; time stands still otherwise.
const UNTIL: u64 = 10;

/// The breaker without its clock and configuration: it opens at two failures in the window.
struct Breaker {
    machine: Machine,
    window: Window,
    openings: AtomicU32,
    closings: AtomicU32,
}

impl Breaker {
    fn new(window: Window, probes: u32, successes: u32) -> Arc<Self> {
        Arc::new(Self {
            machine: Machine::new(probes, successes),
            window,
            openings: AtomicU32::new(0),
            closings: AtomicU32::new(0),
        })
    }

    /// Open, and its time is up.
    fn opened(probes: u32, successes: u32) -> Arc<Self> {
        let breaker = Self::new(Window::of_calls(2), probes, successes);
        let call = breaker.acquire(0).expect("closed");
        breaker.note(breaker.machine.trip(call, |_| UNTIL));
        breaker
    }

    fn acquire(&self, now: u64) -> Option<Ticket> {
        let (ticket, change) = self.machine.acquire(|| now).ok()?;
        self.note(change);
        Some(ticket)
    }

    fn record(&self, ticket: Ticket, verdict: Verdict, tick: u32) {
        if !self.machine.is_current(ticket) {
            return;
        }
        let seen = self.window.record(verdict, || tick);
        if seen.is_some_and(|seen| seen.failures >= 2) {
            self.note(self.machine.trip(ticket, |_| UNTIL));
        }
    }

    fn settle(&self, ticket: Ticket, outcome: Outcome) {
        let clear = || self.window.clear();
        let change = self.machine.settle(ticket, outcome, |_| UNTIL, clear);
        self.note(change);
    }

    fn note(&self, change: Option<Change>) {
        match change.map(|change| change.to.phase) {
            Some(Phase::Open { .. }) => self.openings.fetch_add(1, Ordering::Relaxed),
            Some(Phase::Closed) => self.closings.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn phase(&self) -> Phase {
        self.machine.status().phase
    }

    fn is_open(&self) -> bool {
        matches!(self.phase(), Phase::Open { .. })
    }

    /// How often it opened and closed.
    fn steps(&self) -> (u32, u32) {
        let count = |steps: &AtomicU32| steps.load(Ordering::Relaxed);
        (count(&self.openings), count(&self.closings))
    }
}

type Work<T = ()> = Box<dyn FnOnce(&Breaker) -> T>;

/// Where the full model takes too long: with so many switches between threads that none of them asked for. Most
/// mistakes need one or two (Musuvathi and Qadeer, "Iterative context bounding", 2007).
fn with_preemptions(most: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(most);
    model.check(check);
}

/// Runs all of them at the same time.
fn at_once<T: 'static>(breaker: &Arc<Breaker>, work: impl IntoIterator<Item = Work<T>>) -> Vec<T> {
    let spawn = |work: Work<T>| {
        let breaker = breaker.clone();
        thread::spawn(move || work(&breaker))
    };
    let threads: Vec<_> = work.into_iter().map(spawn).collect();
    let join = |thread: thread::JoinHandle<T>| thread.join().expect("no panic");
    threads.into_iter().map(join).collect()
}

fn record(ticket: Ticket, verdict: Verdict, tick: u32) -> Work {
    Box::new(move |breaker| breaker.record(ticket, verdict, tick))
}

fn settle(ticket: Ticket, outcome: Outcome) -> Work {
    Box::new(move |breaker| breaker.settle(ticket, outcome))
}

fn probe() -> Work<Option<Ticket>> {
    Box::new(|breaker| breaker.acquire(UNTIL))
}

#[test]
fn two_failures_at_once_open_it_once() {
    loom::model(|| {
        let breaker = Breaker::new(Window::of_calls(2), 1, 1);
        let calls = [0, 0].map(|now| breaker.acquire(now).expect("closed"));
        at_once(
            &breaker,
            calls.map(|call| record(call, Verdict::Failure, 0)),
        );
        assert!(breaker.is_open());
        assert_eq!(breaker.steps(), (1, 0));
    });
}

#[test]
fn two_failures_at_the_turn_of_a_tick_open_it_once() {
    loom::model(|| {
        let breaker = Breaker::new(Window::of_time(), 1, 1);
        let call = breaker.acquire(0).expect("closed");
        let work = [4, 5].map(|tick| record(call, Verdict::Failure, tick));
        at_once(&breaker, work);
        assert!(breaker.is_open());
        assert_eq!(breaker.steps(), (1, 0));
    });
}

#[test]
fn two_failures_in_a_bucket_that_is_used_again_open_it_once() {
    with_preemptions(3, || {
        let breaker = Breaker::new(Window::of_time(), 1, 1);
        let call = breaker.acquire(0).expect("closed");
        breaker.record(call, Verdict::Failure, 0);
        let tick = window::BUCKETS;
        let work = [tick, tick].map(|tick| record(call, Verdict::Failure, tick));
        at_once(&breaker, work);
        assert_eq!(breaker.steps(), (1, 0));
    });
}

#[test]
fn calls_that_overwrite_each_other_leave_the_counts_right() {
    with_preemptions(2, || {
        // One slot for all: each overwrites what another has written.
        let breaker = Breaker::new(Window::of_calls(1), 1, 1);
        let call = breaker.acquire(0).expect("closed");
        breaker.record(call, Verdict::Failure, 0);
        let verdicts = [Verdict::Success, Verdict::Slow];
        at_once(&breaker, verdicts.map(|verdict| record(call, verdict, 0)));
        let seen = breaker.window.seen(|| 0);
        assert_eq!((seen.calls, seen.failures), (1, seen.slow));
        breaker.window.clear();
        let seen = breaker.window.seen(|| 0);
        assert_eq!((seen.calls, seen.failures, seen.slow), (0, 0, 0));
    });
}

#[test]
fn clearing_beside_a_call_leaves_the_counts_right() {
    with_preemptions(3, || {
        let breaker = Breaker::new(Window::of_calls(2), 1, 1);
        let call = breaker.acquire(0).expect("closed");
        breaker.record(call, Verdict::Failure, 0);
        let clear: Work = Box::new(|breaker| breaker.window.clear());
        at_once(&breaker, [clear, record(call, Verdict::Slow, 0)]);
        breaker.window.clear();
        let seen = breaker.window.seen(|| 0);
        assert_eq!((seen.calls, seen.failures, seen.slow), (0, 0, 0));
    });
}

#[test]
fn the_one_probe_is_let_in_once() {
    loom::model(|| {
        let breaker = Breaker::opened(1, 1);
        let probes = at_once(&breaker, [probe(), probe()]);
        assert_eq!(probes.iter().flatten().count(), 1);
    });
}

#[test]
fn of_three_callers_two_are_probes() {
    with_preemptions(3, || {
        let breaker = Breaker::opened(2, 2);
        let probes = at_once(&breaker, [probe(), probe(), probe()]);
        assert_eq!(probes.iter().flatten().count(), 2);
    });
}

#[test]
fn two_probes_that_succeed_close_it_once() {
    loom::model(|| {
        let breaker = Breaker::opened(2, 2);
        let probes = [UNTIL, UNTIL].map(|now| breaker.acquire(now).expect("a probe"));
        at_once(
            &breaker,
            probes.map(|probe| settle(probe, Outcome::Success)),
        );
        assert_eq!(breaker.phase(), Phase::Closed);
        assert_eq!(breaker.steps(), (1, 1));
    });
}

#[test]
fn two_probes_that_fail_open_it_once() {
    loom::model(|| {
        let breaker = Breaker::opened(2, 2);
        let probes = [UNTIL, UNTIL].map(|now| breaker.acquire(now).expect("a probe"));
        at_once(
            &breaker,
            probes.map(|probe| settle(probe, Outcome::Failure)),
        );
        assert!(breaker.is_open());
        assert_eq!(breaker.steps(), (2, 0));
        assert_eq!(breaker.machine.status().openings, 2);
    });
}

#[test]
fn a_probe_that_fails_beside_one_that_succeeds_opens_it() {
    loom::model(|| {
        let breaker = Breaker::opened(2, 2);
        let probes = [UNTIL, UNTIL].map(|now| breaker.acquire(now).expect("a probe"));
        let [one, other] = probes;
        let work = [
            settle(one, Outcome::Success),
            settle(other, Outcome::Failure),
        ];
        at_once(&breaker, work);
        assert!(breaker.is_open());
        assert_eq!(breaker.steps(), (2, 0));
    });
}

#[test]
fn the_place_of_a_cancelled_probe_is_given_once() {
    loom::model(|| {
        let breaker = Breaker::opened(1, 1);
        let cancelled = breaker.acquire(UNTIL).expect("a probe");
        let drop: Work<Option<Ticket>> = Box::new(move |breaker| {
            breaker.settle(cancelled, Outcome::Ignored);
            breaker.acquire(UNTIL)
        });
        let probes = at_once(&breaker, [drop, probe()]);
        assert_eq!(probes.iter().flatten().count(), 1);
    });
}

#[test]
fn the_first_call_after_a_closing_is_counted() {
    // Not loom's: what all the interleavings together have come to.
    let outcomes = std::sync::Arc::new([false, true].map(|_| AtomicBool::new(false)));
    let seen = std::sync::Arc::clone(&outcomes);
    loom::model(move || {
        let breaker = Breaker::opened(1, 1);
        let last = breaker.acquire(UNTIL).expect("a probe");
        let first: Work<bool> = Box::new(|breaker| {
            let Some(call) = breaker.acquire(UNTIL) else {
                return false;
            };
            breaker.record(call, Verdict::Failure, 0);
            true
        });
        let close: Work<bool> = Box::new(move |breaker| {
            breaker.settle(last, Outcome::Success);
            false
        });
        // In this order: loom remembers one access to a word, and with the other it would not try a call that comes
        // after the closing.
        let is_counted = at_once(&breaker, [close, first]).contains(&true);
        assert_eq!(breaker.window.seen(|| 0).calls, u32::from(is_counted));
        seen[usize::from(is_counted)].store(true, Ordering::Relaxed);
    });
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.load(Ordering::Relaxed))
    );
}

#[test]
fn a_late_result_opens_and_settles_nothing() {
    loom::model(|| {
        let breaker = Breaker::new(Window::of_calls(2), 1, 1);
        let late = breaker.acquire(0).expect("closed");
        breaker.note(breaker.machine.trip(late, |_| UNTIL));
        let failure: Work = Box::new(move |breaker| {
            // As if it had been stopped after it looked whether it still counts.
            breaker.note(breaker.machine.trip(late, |_| UNTIL));
            breaker.settle(late, Outcome::Failure);
        });
        let recovery: Work = Box::new(|breaker| {
            let probe = breaker.acquire(UNTIL).expect("a probe");
            breaker.settle(probe, Outcome::Success);
        });
        at_once(&breaker, [failure, recovery]);
        assert_eq!(breaker.phase(), Phase::Closed);
        assert_eq!(breaker.steps(), (1, 1));
    });
}

#[test]
fn what_an_administrator_says_stays() {
    loom::model(|| {
        let breaker = Breaker::opened(1, 1);
        let last = breaker.acquire(UNTIL).expect("a probe");
        let force: Work = Box::new(|breaker| {
            breaker
                .machine
                .set(Phase::ForcedOpen, || breaker.window.clear());
        });
        at_once(&breaker, [force, settle(last, Outcome::Success)]);
        assert_eq!(breaker.phase(), Phase::ForcedOpen);
    });
}
