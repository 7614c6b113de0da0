//! The word in which the state machine keeps all that it knows: the fields, and their bits.
//!
//! State, generation and the counts of probes share it, so that each step of `state.rs` is one compare-and-swap of the
//! complete state.

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
    pub(super) fn pack(self) -> u64 {
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

    pub(super) fn unpack(word: u64) -> Self {
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
    pub(super) fn step(self, phase: Phase) -> Self {
        Self {
            generation: (self.generation + 1) & low(GENERATION_BITS) as u32,
            openings: self.openings,
            phase,
        }
    }

    /// Open once more; the next opening is longer.
    pub(super) fn opened(self, until_ms: u64) -> Self {
        Self {
            openings: (self.openings + 1).min(low(OPENINGS_BITS) as u32),
            ..self.step(Phase::Open { until_ms })
        }
    }

    /// After a step that forgets how often it opened.
    pub(super) fn afresh(self, phase: Phase) -> Self {
        Self {
            openings: 0,
            ..self.step(phase)
        }
    }

    /// The same state with other counts: no step, so that calls in progress still count.
    pub(super) fn with(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

/// Whether every call is admitted, without a look at the clock or the counts.
#[inline]
pub(super) fn admits_all(word: u64) -> bool {
    matches!(word & low(KIND_BITS), CLOSED | FORCED_CLOSED)
}

/// Identifies the state in which a call was admitted: its kind and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// For a call that is admitted in the state of this word.
    #[inline]
    pub(super) fn of(word: u64) -> Self {
        Self(word & ID_MASK)
    }

    /// The word of the state, if it was closed: then only kind and generation are set, and the ticket is all of it.
    #[inline]
    pub(super) fn word_if_closed(self) -> u64 {
        self.0
    }

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
