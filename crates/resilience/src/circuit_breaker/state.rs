//! The state machine, in one atomic word.
//!
//! ```text
//!            too many failures
//!   Closed ─────────────────────▶ Open ◀──────┐
//!     ▲                            │ time is up: the caller that sees it is the first probe
//!     │ enough probes succeeded    ▼          │ a probe failed
//!     └───────────────────────  HalfOpen ─────┘
//!
//!   ForcedOpen, ForcedClosed, and a reset to Closed: from anywhere, by an administrator.
//! ```
//!
//! State, generation and the counts of probes share one word (`word.rs`), so that each step is one compare-and-swap of the complete
//! state: a probe cannot be admitted without being counted, and a state cannot be entered twice. A mutex around a plain
//! enum, the alternative, would serialise all calls of a healthy dependency; another one, an atomic pointer to a state
//! on the heap, needs memory reclamation (crossbeam's epochs) for no gain.
//!
//! Every step to another state starts a new generation. A call carries the generation in which it was admitted, and its
//! result counts only in that one: the result of a call from before an outage is ignored afterwards.

use super::Outcome;
use super::sync::{AtomicU64, Ordering};
use super::word::{Phase, Status, Ticket, admits_all};

/// Why a call is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Open for this many more milliseconds.
    Open {
        left_ms: u64,
    },
    /// All probes that are needed are in progress.
    HalfOpen,
    Forced,
}

/// A step that was made by this caller and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: Status,
    pub(super) to: Status,
}

/// The machine. Time and randomness are passed in, so that it can be tested without either.
#[derive(Debug)]
pub(super) struct Machine {
    word: AtomicU64,
    /// The most concurrent probes.
    probes: u32,
    /// Probes that must succeed for it to close.
    successes: u32,
}

impl Machine {
    pub(super) fn new(probes: u32, successes: u32) -> Self {
        let status = Status {
            generation: 0,
            openings: 0,
            phase: Phase::Closed,
        };
        Self {
            word: AtomicU64::new(status.pack()),
            probes,
            successes,
        }
    }

    pub(super) fn status(&self) -> Status {
        Status::unpack(self.word.load(Ordering::Acquire))
    }

    /// Admits or refuses a call. The clock is read only when open.
    #[inline]
    pub(super) fn acquire(
        &self,
        now_ms: impl Fn() -> u64,
    ) -> Result<(Ticket, Option<Change>), Refusal> {
        // Acquire: a caller that sees it closed also sees the window cleared.
        let word = self.word.load(Ordering::Acquire);
        if admits_all(word) {
            return Ok((Ticket::of(word), None));
        }
        self.acquire_probe(word, now_ms)
    }

    #[cold]
    fn acquire_probe(
        &self,
        mut word: u64,
        now_ms: impl Fn() -> u64,
    ) -> Result<(Ticket, Option<Change>), Refusal> {
        loop {
            let status = Status::unpack(word);
            let next = self.let_in(status, &now_ms)?;
            match self.swap(word, next) {
                Ok(change) => return Ok((Ticket::of(next.pack()), change)),
                Err(newer) => word = newer,
            }
        }
    }

    /// The status with one more admitted call.
    fn let_in(&self, status: Status, now_ms: impl Fn() -> u64) -> Result<Status, Refusal> {
        match status.phase {
            Phase::Closed | Phase::ForcedClosed => Ok(status),
            Phase::ForcedOpen => Err(Refusal::Forced),
            Phase::Open { until_ms } => match until_ms.saturating_sub(now_ms()) {
                // No timer makes this step, since without callers there is no call to probe with.
                0 => Ok(status.step(Phase::HalfOpen {
                    in_progress: 1,
                    succeeded: 0,
                })),
                left_ms => Err(Refusal::Open { left_ms }),
            },
            Phase::HalfOpen {
                in_progress,
                succeeded,
            } => {
                // No more probes than the number of missing successes: a further one could only do harm.
                if in_progress >= self.probes || in_progress + succeeded >= self.successes {
                    return Err(Refusal::HalfOpen);
                }
                Ok(status.with(Phase::HalfOpen {
                    in_progress: in_progress + 1,
                    succeeded,
                }))
            }
        }
    }

    /// Whether a call would be admitted now, without admitting one.
    #[inline]
    pub(super) fn would_admit(&self, now_ms: impl Fn() -> u64) -> bool {
        self.let_in(self.status(), now_ms).is_ok()
    }

    /// Whether the state is still the one in which this ticket was issued.
    #[inline]
    pub(super) fn is_current(&self, ticket: Ticket) -> bool {
        Ticket::of(self.word.load(Ordering::Acquire)) == ticket
    }

    /// Opens because of the failures that the call with this ticket found. `None` if the state has changed since:
    /// another call has found them, too, or an administrator has intervened.
    pub(super) fn trip(
        &self,
        ticket: Ticket,
        open_until_ms: impl Fn(u32) -> u64,
    ) -> Option<Change> {
        let word = ticket.word_if_closed();
        let next = Status::unpack(word).opened(open_until_ms(1));
        self.swap(word, next).ok().flatten()
    }

    /// Records the end of a probe. `clear_window` runs before the last probe closes the breaker, so that no result of a
    /// new call is cleared together with the old ones.
    pub(super) fn settle(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        open_until_ms: impl Fn(u32) -> u64,
        clear_window: impl Fn(),
    ) -> Option<Change> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let status = Status::unpack(word);
            let Phase::HalfOpen {
                in_progress,
                succeeded,
            } = status.phase
            else {
                return None;
            };
            if Ticket::of(word) != ticket {
                return None;
            }
            let fewer = |succeeded| Phase::HalfOpen {
                in_progress: in_progress - 1,
                succeeded,
            };
            let next = match outcome {
                Outcome::Failure => status.opened(open_until_ms(status.openings + 1)),
                Outcome::Success if succeeded + 1 == self.successes => {
                    clear_window();
                    status.afresh(Phase::Closed)
                }
                Outcome::Success => status.with(fewer(succeeded + 1)),
                Outcome::Ignored => status.with(fewer(succeeded)),
            };
            match self.swap(word, next) {
                Ok(change) => return change,
                Err(newer) => word = newer,
            }
        }
    }

    /// A step by an administrator, from any state; calls in progress are not counted any more.
    pub(super) fn set(&self, phase: Phase, clear_window: impl Fn()) -> Change {
        clear_window();
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let from = Status::unpack(word);
            let to = from.afresh(phase);
            match self.swap(word, to) {
                Ok(_) => return Change { from, to },
                Err(newer) => word = newer,
            }
        }
    }

    /// `Ok` with the change, if the step led to another state; `Err` with the actual word if it was another one.
    fn swap(&self, word: u64, next: Status) -> Result<Option<Change>, u64> {
        self.word
            .compare_exchange(word, next.pack(), Ordering::AcqRel, Ordering::Acquire)?;
        let from = Status::unpack(word);
        Ok((from.generation != next.generation).then_some(Change { from, to: next }))
    }
}
