//! A whole circuit breaker in straight lines, behind one mutex: between the fuse of `from_scratch.rs` and the packed
//! atomics of `resilience::circuit_breaker`, whose types it shares. Both do the same, which a property test holds them to
//! (`tests/it/circuit_breaker/by_mutex.rs`). Read this one first.
//!
//! What it lacks is speed. Every call of a healthy dependency takes the mutex twice, and it looks through a list of calls
//! where the other one keeps counts.
//!
//! ```sh
//! cargo run -p resilience --example breaker_by_mutex
//! ```
#![allow(clippy::print_stdout, reason = "the time line")]
#![allow(
    dead_code,
    reason = "the test tells no story, and the story forces nothing"
)]

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use resilience::circuit_breaker::{Config, Snapshot, State, Window};
use resilience::classify::Outcome;
use tokio::time::{Instant, sleep};

/// A window of time is so many ticks long, and calls leave it a tick at a time.
const TICKS: u128 = 10;

pub(crate) struct Breaker {
    config: Config,
    born: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    phase: Phase,
    /// Steps from phase to phase so far. A call carries the number of the one that let it in: what comes back after the
    /// next step is old news.
    generation: u32,
    /// How often it opened since it was last closed. Each opening lasts twice as long as the one before.
    openings: u32,
    /// When the calls of the window ended, and how. It is empty after a closing.
    window: VecDeque<(Instant, Verdict)>,
    failures_in_a_row: u32,
}

enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { probes: u32, succeeded: u32 },
    ForcedOpen,
    ForcedClosed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    /// It took too long; a failure whatever it brought.
    Slow,
}

/// Leave to make one call. Whoever has it must [record](Breaker::record) how the call ended, or a probe's place is lost.
pub(crate) struct Permit {
    generation: u32,
    started: Instant,
}

impl Breaker {
    pub(crate) fn new(config: Config) -> Self {
        let inner = Inner {
            phase: Phase::Closed,
            generation: 0,
            openings: 0,
            window: VecDeque::new(),
            failures_in_a_row: 0,
        };
        Self {
            config,
            born: Instant::now(),
            inner: Mutex::new(inner),
        }
    }

    /// Asks to make one call.
    pub(crate) fn acquire(&self) -> Option<Permit> {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        // No timer does this step: without callers there is nothing to probe with.
        if matches!(inner.phase, Phase::Open { until } if until <= now) {
            inner.step(Phase::HalfOpen {
                probes: 0,
                succeeded: 0,
            });
        }
        let is_admitted = match &mut inner.phase {
            Phase::Closed | Phase::ForcedClosed => true,
            Phase::Open { .. } | Phase::ForcedOpen => false,
            Phase::HalfOpen { probes, succeeded } => {
                // No more than successes are missing: another one could only do harm.
                let missing = self.config.successes - *succeeded;
                let is_free = *probes < missing.min(self.config.probes);
                *probes += u32::from(is_free);
                is_free
            }
        };
        is_admitted.then_some(Permit {
            generation: inner.generation,
            started: now,
        })
    }

    /// Counts how a call ended; [`Outcome::Ignored`] if its caller gave it up.
    pub(crate) fn record(&self, permit: Permit, outcome: Outcome) {
        let mut inner = self.inner.lock();
        if permit.generation != inner.generation {
            return;
        }
        let is_slow = (self.config.slow_call).is_some_and(|slow| permit.started.elapsed() >= slow);
        let verdict = match outcome {
            Outcome::Ignored => None,
            _ if is_slow => Some(Verdict::Slow),
            Outcome::Failure => Some(Verdict::Bad),
            Outcome::Success => Some(Verdict::Good),
        };
        if let Phase::HalfOpen { probes, succeeded } = &mut inner.phase {
            *probes -= 1;
            match verdict {
                None => {}
                Some(Verdict::Good) => {
                    *succeeded += 1;
                    if *succeeded == self.config.successes {
                        inner.start_over(Phase::Closed);
                    }
                }
                Some(Verdict::Bad | Verdict::Slow) => self.open(&mut inner),
            }
        } else if let (Phase::Closed, Some(verdict)) = (&inner.phase, verdict) {
            self.count(&mut inner, verdict);
        }
    }

    fn count(&self, inner: &mut Inner, verdict: Verdict) {
        inner.window.push_back((Instant::now(), verdict));
        self.forget(inner);
        if verdict == Verdict::Good {
            inner.failures_in_a_row = 0;
            return;
        }
        inner.failures_in_a_row += 1;
        let calls = inner.window.len();
        let failures = inner.count(|verdict| verdict != Verdict::Good);
        let allowed = self.config.consecutive_failures;
        let is_row_too_long = allowed.is_some_and(|allowed| inner.failures_in_a_row >= allowed);
        let is_rate_too_high = calls >= self.config.minimum_calls as usize
            && failures * 100 >= calls * usize::from(self.config.failure_rate_percent);
        if is_row_too_long || is_rate_too_high {
            self.open(inner);
        }
    }

    /// Lets go of the calls that have left the window.
    fn forget(&self, inner: &mut Inner) {
        match self.config.window {
            Window::Calls(calls) => {
                let surplus = inner.window.len().saturating_sub(calls as usize);
                inner.window.drain(..surplus);
            }
            Window::Time(length) => {
                let tick = |at: Instant| (at - self.born).as_nanos() * TICKS / length.as_nanos();
                let now = tick(Instant::now());
                inner.window.retain(|(ended, _)| tick(*ended) + TICKS > now);
            }
        }
    }

    fn open(&self, inner: &mut Inner) {
        // Without the jitter of the other one, which would only blur what there is to see.
        let mut length = self.config.open;
        for _ in 0..inner.openings {
            length = (length * 2).min(self.config.open_max);
        }
        inner.openings += 1;
        let until = Instant::now() + length;
        inner.step(Phase::Open { until });
    }

    /// Refuses every call until it is told otherwise.
    pub(crate) fn force_open(&self) {
        self.inner.lock().start_over(Phase::ForcedOpen);
    }

    /// Lets every call through and counts none until it is told otherwise.
    pub(crate) fn force_closed(&self) {
        self.inner.lock().start_over(Phase::ForcedClosed);
    }

    /// Closes it, forced or not.
    pub(crate) fn reset(&self) {
        self.inner.lock().start_over(Phase::Closed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut inner = self.inner.lock();
        self.forget(&mut inner);
        let (state, open_for, probes) = match inner.phase {
            Phase::Closed => (State::Closed, None, 0),
            Phase::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                (State::Open, Some(left), 0)
            }
            Phase::HalfOpen { probes, .. } => (State::HalfOpen, None, probes),
            Phase::ForcedOpen => (State::ForcedOpen, None, 0),
            Phase::ForcedClosed => (State::ForcedClosed, None, 0),
        };
        let count = |is: fn(Verdict) -> bool| inner.count(is) as u32;
        Snapshot {
            name: String::new(),
            state,
            open_for,
            probes,
            calls: count(|_| true),
            failures: count(|verdict| verdict != Verdict::Good),
            slow: count(|verdict| verdict == Verdict::Slow),
            consecutive_failures: inner.failures_in_a_row,
            // It keeps no totals.
            opened: 0,
            half_opened: 0,
            closed: 0,
            rejected: 0,
        }
    }
}

impl Inner {
    fn step(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }

    /// As if nothing had been.
    fn start_over(&mut self, phase: Phase) {
        self.step(phase);
        self.openings = 0;
        self.window.clear();
        self.failures_in_a_row = 0;
    }

    /// The calls of the window that ended so.
    fn count(&self, is: fn(Verdict) -> bool) -> usize {
        let verdicts = self.window.iter().map(|(_, verdict)| *verdict);
        verdicts.filter(|verdict| is(*verdict)).count()
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let breaker = Breaker::new(Config {
        minimum_calls: 4,
        open: Duration::from_secs(1),
        probes: 1,
        successes: 2,
        ..Config::default()
    });
    let began = Instant::now();
    for _ in 0..25 {
        // Out of order between second 2 and 5.
        let is_broken = (2..5).contains(&began.elapsed().as_secs());
        let line = match breaker.acquire() {
            None => "refused",
            Some(permit) if is_broken => {
                breaker.record(permit, Outcome::Failure);
                "asked: connection refused"
            }
            Some(permit) => {
                breaker.record(permit, Outcome::Success);
                "asked: an answer"
            }
        };
        let state = breaker.snapshot().state;
        println!("{:>5} ms  {state:<9}  {line}", began.elapsed().as_millis());
        sleep(Duration::from_millis(400)).await;
    }
}
