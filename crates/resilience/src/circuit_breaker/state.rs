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
//! State, generation and the counts of probes share one word, so that each step is one compare-and-swap of the complete
//! state: a probe cannot be admitted without being counted, and a state cannot be entered twice. A mutex around a plain
//! enum, the alternative, would serialise all calls of a healthy dependency; another one, an atomic pointer to a state
//! on the heap, needs memory reclamation (crossbeam's epochs) for no gain.
//!
//! Every step to another state starts a new generation. A call carries the generation in which it was admitted, and its
//! result counts only in that one: the result of a call from before an outage is ignored afterwards.

use super::Outcome;
use super::sync::{AtomicU64, Ordering};

/// The state of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    /// Open until this time, in milliseconds since the breaker was created.
    Open {
        until_ms: u64,
    },
    HalfOpen {
        in_progress: u32,
        succeeded: u32,
    },
    ForcedOpen,
    ForcedClosed,
}

/// All fields of the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    /// Counts the steps between states. It wraps: a call during which exactly 131,072 steps happen would be taken for a
    /// new one.
    pub(super) generation: u32,
    /// How often it opened since it was last closed, up to 31; the exponent of the backoff.
    pub(super) openings: u32,
    pub(super) phase: Phase,
}

/// The layout of the word, from low to high bits: kind, generation, openings, and the payload of the phase: a time of
/// 39 bits (17 years of milliseconds), or two counts.
const KIND_BITS: u32 = 3;
const GENERATION_BITS: u32 = 17;
const OPENINGS_BITS: u32 = 5;
const PAYLOAD_SHIFT: u32 = KIND_BITS + GENERATION_BITS + OPENINGS_BITS;
const PAYLOAD_MAX: u64 = u64::MAX >> PAYLOAD_SHIFT;
const COUNT_BITS: u32 = 16;
/// Kind and generation: identifies the state in which a call was admitted.
const ID_MASK: u64 = low(KIND_BITS + GENERATION_BITS);

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;
const FORCED_OPEN: u64 = 3;
const FORCED_CLOSED: u64 = 4;

const fn low(bits: u32) -> u64 {
    (1 << bits) - 1
}

impl Status {
    fn pack(self) -> u64 {
        let (kind, payload) = match self.phase {
            Phase::Closed => (CLOSED, 0),
            Phase::Open { until_ms } => (OPEN, until_ms.min(PAYLOAD_MAX)),
            Phase::HalfOpen {
                in_progress,
                succeeded,
            } => (
                HALF_OPEN,
                u64::from(in_progress) | u64::from(succeeded) << COUNT_BITS,
            ),
            Phase::ForcedOpen => (FORCED_OPEN, 0),
            Phase::ForcedClosed => (FORCED_CLOSED, 0),
        };
        let generation = u64::from(self.generation) & low(GENERATION_BITS);
        let openings = u64::from(self.openings).min(low(OPENINGS_BITS));
        kind | generation << KIND_BITS
            | openings << (KIND_BITS + GENERATION_BITS)
            | payload << PAYLOAD_SHIFT
    }

    fn unpack(word: u64) -> Self {
        let field = |shift: u32, bits: u32| (word >> shift & low(bits)) as u32;
        let phase = match word & low(KIND_BITS) {
            CLOSED => Phase::Closed,
            OPEN => Phase::Open {
                until_ms: word >> PAYLOAD_SHIFT,
            },
            HALF_OPEN => Phase::HalfOpen {
                in_progress: field(PAYLOAD_SHIFT, COUNT_BITS),
                succeeded: field(PAYLOAD_SHIFT + COUNT_BITS, COUNT_BITS),
            },
            FORCED_OPEN => Phase::ForcedOpen,
            _ => Phase::ForcedClosed,
        };
        Self {
            generation: field(KIND_BITS, GENERATION_BITS),
            openings: field(KIND_BITS + GENERATION_BITS, OPENINGS_BITS),
            phase,
        }
    }

    /// The status after a step to another state, with a new generation.
    fn step(self, phase: Phase) -> Self {
        Self {
            generation: (self.generation + 1) & low(GENERATION_BITS) as u32,
            openings: self.openings,
            phase,
        }
    }

    fn opened(self, until_ms: u64) -> Self {
        Self {
            openings: (self.openings + 1).min(low(OPENINGS_BITS) as u32),
            ..self.step(Phase::Open { until_ms })
        }
    }

    fn afresh(self, phase: Phase) -> Self {
        Self {
            openings: 0,
            ..self.step(phase)
        }
    }

    fn with(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

/// Identifies the state in which a call was admitted: its kind and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Ticket {
    #[inline]
    pub(super) fn is_probe(self) -> bool {
        self.0 & low(KIND_BITS) == HALF_OPEN
    }

    /// Whether a closed breaker admitted the call, so that its result goes into the window.
    #[inline]
    pub(super) fn is_measured(self) -> bool {
        self.0 & low(KIND_BITS) == CLOSED
    }
}

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
        if matches!(word & low(KIND_BITS), CLOSED | FORCED_CLOSED) {
            return Ok((Ticket(word & ID_MASK), None));
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
                Ok(change) => return Ok((Ticket(next.pack() & ID_MASK), change)),
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
        self.word.load(Ordering::Acquire) & ID_MASK == ticket.0
    }

    /// Opens because of the failures that the call with this ticket found. `None` if the state has changed since:
    /// another call has found them, too, or an administrator has intervened.
    pub(super) fn trip(
        &self,
        ticket: Ticket,
        open_until_ms: impl Fn(u32) -> u64,
    ) -> Option<Change> {
        // When closed, only kind and generation are set, so that the ticket is the whole word.
        let status = Status::unpack(ticket.0);
        let next = status.opened(open_until_ms(1));
        self.swap(ticket.0, next).ok().flatten()
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
            if word & ID_MASK != ticket.0 {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phase() -> impl Strategy<Value = Phase> {
        prop_oneof![
            Just(Phase::Closed),
            Just(Phase::ForcedOpen),
            Just(Phase::ForcedClosed),
            (0..=PAYLOAD_MAX).prop_map(|until_ms| Phase::Open { until_ms }),
            (0_u32..1 << COUNT_BITS, 0_u32..1 << COUNT_BITS).prop_map(
                |(in_progress, succeeded)| Phase::HalfOpen {
                    in_progress,
                    succeeded
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn a_status_fits_into_the_word(
            generation in 0_u32..1 << GENERATION_BITS,
            openings in 0_u32..1 << OPENINGS_BITS,
            phase in phase(),
        ) {
            let status = Status { generation, openings, phase };
            prop_assert_eq!(Status::unpack(status.pack()), status);
        }
    }

    #[test]
    fn what_does_not_fit_stays_in_its_field() {
        let last = Status {
            generation: low(GENERATION_BITS) as u32,
            openings: low(OPENINGS_BITS) as u32,
            phase: Phase::Closed,
        };
        let next = last.opened(u64::MAX);
        let expected = Status {
            generation: 0,
            openings: last.openings,
            phase: Phase::Open {
                until_ms: PAYLOAD_MAX,
            },
        };
        assert_eq!(next.phase, Phase::Open { until_ms: u64::MAX });
        assert_eq!(Status::unpack(next.pack()), expected);
    }
}
