//! The handle: one breaker, shared by all callers of the dependency.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::ConfigError;
use crate::classify::Outcome;

use super::admission::{Admission, Rejected};
use super::events::{Snapshot, State, StateChange};
use super::padded::Padded;
use super::state::{Change, Machine, Refusal};
use super::window::{self, Seen, Verdict};
use super::word::{Phase, Ticket};
use super::{Config, Window};

/// The retry delay of a refused call when the remaining time is unknown: the shortest that `Retry-After` can express.
const RETRY_AFTER_UNKNOWN: Duration = Duration::from_secs(1);
/// How many state changes a slow subscriber may lag behind. A change happens at most about once per opening.
const CHANGES_KEPT: usize = 16;

/// A circuit breaker: a handle that is cheap to clone; all clones are the same breaker.
///
/// One for each dependency, and one for each of its endpoints. Use it as a layer
/// ([`CircuitBreakerLayer`](super::CircuitBreakerLayer)), or by itself:
///
/// ```
/// use resilience::circuit_breaker::{CircuitBreaker, Config};
/// use resilience::classify::ErrorsAreFailures;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = CircuitBreaker::new("orders", Config::default())?;
///
/// let permit = breaker.acquire()?;
/// let answer = "42".parse::<u32>(); // the call
/// permit.record_result(&ErrorsAreFailures, &answer);
/// # Ok(()) }
/// ```
///
/// # What a call costs
/// Closed: no allocation, no lock; no clock unless the window is a time or slow calls count. With a window of calls, a
/// success of a healthy dependency only reads, so that callers on many cores do not slow each other down.
#[derive(Clone)]
pub struct CircuitBreaker {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// Read by every call, written only when the state changes or a probe starts or ends.
    machine: Padded<Machine>,
    window: window::Window,
    counters: Padded<Counters>,
    /// A broadcast channel, not a watch channel: a watch keeps only the newest state, and a breaker that opened, probed
    /// and opened again while its reader was busy would seem not to have changed. Bounded: a reader that is too slow is
    /// told how many changes it missed, and nothing waits for it. The totals are in the snapshot.
    changes: broadcast::Sender<StateChange>,
    name: Box<str>,
    config: Config,
    tick_ns: u64,
    born: Instant,
}

#[derive(Default)]
struct Counters {
    opened: AtomicU64,
    half_opened: AtomicU64,
    closed: AtomicU64,
    rejected: AtomicU64,
}

impl CircuitBreaker {
    /// A closed breaker; the name is for people (logs, metrics, the admin page).
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn new(name: impl Into<String>, config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let window = match config.window {
            Window::Calls(calls) => window::Window::of_calls(calls),
            Window::Time(_) => window::Window::of_time(),
        };
        let inner = Inner {
            machine: Padded(Machine::new(config.probes, config.successes)),
            window,
            counters: Padded::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            name: name.into().into_boxed_str(),
            tick_ns: config.tick_ns(),
            config,
            born: Instant::now(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// One that lets every call through and counts none, until [`reset`](Self::reset) or [`force_open`](Self::force_open):
    /// for a client whose configuration wants none. It is in the state of [`force_closed`](Self::force_closed), but no
    /// administrator has set it, so nothing is logged.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn never_opening(name: impl Into<String>, config: Config) -> Result<Self, ConfigError> {
        let breaker = Self::new(name, config)?;
        let inner = &breaker.inner;
        inner
            .machine
            .0
            .set(Phase::ForcedClosed, || inner.window.clear());
        Ok(breaker)
    }

    /// For the balancer, which keeps the breaker with the calls that it admits, and may call an endpoint although its
    /// breaker is open if too many are: it counts neither a reference nor a rejection. An admission has to be
    /// [recorded](Self::record); otherwise a probe's place is lost.
    #[inline]
    pub(crate) fn admit(&self) -> Option<Admission> {
        self.inner.admit().ok()
    }

    #[inline]
    pub(crate) fn record(&self, admission: Admission, outcome: Outcome) {
        self.inner
            .record(admission.ticket, outcome, admission.took());
    }

    /// Whether a call would be admitted now. It reserves nothing and counts no rejection: for a balancer that chooses
    /// among endpoints before it acquires the chosen one.
    #[must_use]
    #[inline]
    pub fn is_available(&self) -> bool {
        self.inner.machine.0.would_admit(|| self.inner.now_ms())
    }

    /// The state. An opening whose time has passed is still [`State::Open`] until a caller becomes the first probe.
    #[must_use]
    #[inline]
    pub fn state(&self) -> State {
        State::of(self.inner.machine.0.status().phase)
    }

    /// The state and the counts, for metrics and the admin page. Read one after another, so that they may be
    /// inconsistent.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.inner.snapshot()
    }

    /// A receiver of every change of state from now on. If it lags by more than 16 changes, it is told how many it
    /// missed. Two changes in quick succession may arrive in reverse order; [`StateChange::generation`] shows the true
    /// order.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<StateChange> {
        self.inner.changes.subscribe()
    }

    /// Refuses every call until [`reset`](Self::reset) or [`force_closed`](Self::force_closed).
    pub fn force_open(&self) {
        self.inner.set(Phase::ForcedOpen);
    }

    /// Lets every call through and counts none, until [`reset`](Self::reset) or [`force_open`](Self::force_open).
    pub fn force_closed(&self) {
        self.inner.set(Phase::ForcedClosed);
    }

    /// Closes it, whether forced or not, with an empty window and the duration of a first opening. Calls in progress do
    /// not count any more.
    pub fn reset(&self) {
        self.inner.set(Phase::Closed);
    }

    /// The name given at its creation.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The configuration given at its creation.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Inner {
    #[inline]
    pub(super) fn acquire(&self) -> Result<Admission, Rejected> {
        self.admit().map_err(|refusal| self.reject(refusal))
    }

    #[inline]
    fn admit(&self) -> Result<Admission, Refusal> {
        let (ticket, change) = self.machine.0.acquire(|| self.now_ms())?;
        if let Some(change) = change {
            self.announce(change, None);
        }
        let started = self.config.slow_call.map(|_| Instant::now());
        Ok(Admission { ticket, started })
    }

    #[cold]
    fn reject(&self, refusal: Refusal) -> Rejected {
        self.counters.0.rejected.fetch_add(1, Ordering::Relaxed);
        let retry_after = match refusal {
            Refusal::Open { left_ms } => Duration::from_millis(left_ms),
            Refusal::HalfOpen | Refusal::Forced => RETRY_AFTER_UNKNOWN,
        };
        tracing::debug!(
            breaker = &*self.name,
            retry_after_ms = retry_after.as_millis(),
            "the circuit breaker refuses a call"
        );
        Rejected { retry_after }
    }

    #[inline]
    pub(super) fn record(&self, ticket: Ticket, outcome: Outcome, took: Option<Duration>) {
        let verdict = match outcome {
            Outcome::Ignored => None,
            _ if self.is_slow(took) => Some(Verdict::Slow),
            Outcome::Failure => Some(Verdict::Failure),
            Outcome::Success => Some(Verdict::Success),
        };
        if ticket.is_probe() {
            return self.settle(ticket, verdict);
        }
        let Some(verdict) = verdict else { return };
        if !ticket.is_measured() || !self.machine.0.is_current(ticket) {
            return;
        }
        if let Some(seen) = self.window.record(verdict, || self.tick()) {
            self.judge(ticket, seen);
        }
    }

    #[inline]
    fn is_slow(&self, took: Option<Duration>) -> bool {
        self.config
            .slow_call
            .is_some_and(|slow| took.is_some_and(|took| took >= slow))
    }

    /// Opens the breaker if the window holds too many failures; called after a failure.
    #[cold]
    fn judge(&self, ticket: Ticket, seen: Seen) {
        if !self.config.is_too_much(seen) {
            return;
        }
        let change = self.machine.0.trip(ticket, |nth| self.open_until_ms(nth));
        if let Some(change) = change {
            self.announce(change, Some(seen));
        }
    }

    #[cold]
    fn settle(&self, ticket: Ticket, verdict: Option<Verdict>) {
        let outcome = match verdict {
            None => Outcome::Ignored,
            Some(Verdict::Success) => Outcome::Success,
            Some(Verdict::Failure | Verdict::Slow) => Outcome::Failure,
        };
        let until = |nth| self.open_until_ms(nth);
        let clear = || self.window.clear();
        if let Some(change) = self.machine.0.settle(ticket, outcome, until, clear) {
            self.announce(change, None);
        }
    }

    #[cold]
    fn set(&self, phase: Phase) {
        let change = self.machine.0.set(phase, || self.window.clear());
        self.announce(change, None);
    }

    /// Publishes a change that this caller made: counters, log, subscribers.
    #[cold]
    fn announce(&self, change: Change, seen: Option<Seen>) {
        let (from, to) = (State::of(change.from.phase), State::of(change.to.phase));
        if from == to {
            return;
        }
        match to {
            State::Open | State::ForcedOpen => &self.counters.0.opened,
            State::HalfOpen => &self.counters.0.half_opened,
            State::Closed | State::ForcedClosed => &self.counters.0.closed,
        }
        .fetch_add(1, Ordering::Relaxed);
        self.log(change, seen);
        // An error means that there are no subscribers, which is fine.
        let _ = self.changes.send(StateChange {
            from,
            to,
            generation: change.to.generation,
        });
    }

    /// One line for each change; a warning only when the dependency starts to fail, not each time a probe fails. Whoever
    /// follows the changes in the log reads the field `state`, which no other line has.
    fn log(&self, change: Change, seen: Option<Seen>) {
        let name = &*self.name;
        let state = State::of(change.to.phase).as_str();
        match (change.to.phase, seen) {
            (Phase::Open { until_ms }, Some(seen)) => tracing::warn!(
                breaker = name,
                state,
                failure_rate_percent =
                    u64::from(seen.failures) * 100 / u64::from(seen.calls.max(1)),
                calls = seen.calls,
                failures = seen.failures,
                slow = seen.slow,
                in_a_row = seen.in_a_row,
                open_ms = until_ms.saturating_sub(self.now_ms()),
                "circuit breaker opened"
            ),
            (Phase::Open { until_ms }, None) => tracing::info!(
                breaker = name,
                state,
                openings = change.to.openings,
                open_ms = until_ms.saturating_sub(self.now_ms()),
                "circuit breaker stays open: a probe failed"
            ),
            (Phase::HalfOpen { .. }, _) => {
                tracing::debug!(breaker = name, state, "circuit breaker probes");
            }
            (Phase::Closed, _) => {
                tracing::info!(breaker = name, state, "circuit breaker closed");
            }
            (Phase::ForcedOpen, _) => {
                tracing::warn!(breaker = name, state, "circuit breaker forced open");
            }
            (Phase::ForcedClosed, _) => {
                tracing::warn!(breaker = name, state, "circuit breaker forced closed");
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let status = self.machine.0.status();
        let seen = self.window.seen(|| self.tick());
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let open_for = match status.phase {
            Phase::Open { until_ms } => Some(Duration::from_millis(
                until_ms.saturating_sub(self.now_ms()),
            )),
            _ => None,
        };
        let probes = match status.phase {
            Phase::HalfOpen { in_progress, .. } => in_progress,
            _ => 0,
        };
        Snapshot {
            name: self.name.to_string(),
            state: State::of(status.phase),
            open_for,
            probes,
            calls: seen.calls,
            failures: seen.failures,
            slow: seen.slow,
            consecutive_failures: seen.in_a_row,
            opened: total(&self.counters.0.opened),
            half_opened: total(&self.counters.0.half_opened),
            closed: total(&self.counters.0.closed),
            rejected: total(&self.counters.0.rejected),
        }
    }

    fn now_ms(&self) -> u64 {
        // 64 bits of milliseconds last longer than any process.
        self.born.elapsed().as_millis() as u64
    }

    /// The current tick of a time-based window.
    fn tick(&self) -> u32 {
        (self.born.elapsed().as_nanos() as u64 / self.tick_ns) as u32
    }

    /// When the n-th consecutive opening ends, if it begins now, in milliseconds since the breaker was created.
    fn open_until_ms(&self, nth: u32) -> u64 {
        let range = self.config.open_at_least(nth)..=self.config.open_at_most(nth);
        let until = self.born.elapsed() + rand::rng().random_range(range);
        // Rounded up, so that the opening does not end early by a fraction of a millisecond.
        until.as_nanos().div_ceil(1_000_000) as u64
    }
}
