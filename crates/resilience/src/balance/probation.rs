//! The state machine of ejection.
//!
//! ```text
//!            `failures` in a row                       time is up
//!      up ─────────────────────────▶ out until a time ───────────▶ on probation
//!      ▲                                    ▲                           │ one probe at a time
//!      │                                    └───────────────────────────┤ fails: out for twice as long
//!      └────────────────────────────────────────────────────────────────┘ `probes` in a row succeed
//! ```
//!
//! Only probes move an endpoint that is out: calls that began before it was, and calls that are made although it is,
//! may end at any time and in any order.
//!
//! This file takes its atomics from `super::sync`: `tests/loom/balance.rs` runs it under loom.

use super::sync::{AtomicU64, Ordering};

/// How many, how long. Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) failures: u8,
    pub(super) base_ms: u64,
    pub(super) max_ms: u64,
    pub(super) probes: u8,
}

/// Admitted; says whether as a probe.
#[derive(Debug)]
pub(super) struct Admitted {
    probe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    Up,
    /// Out, and its time is up; a probe may be under way.
    Probation,
    OutUntil(u64),
}

/// All of the state, in one word: each transition is one compare-and-swap.
#[derive(Debug, Clone, Copy)]
struct State {
    out: bool,
    /// A probe is under way.
    probing: bool,
    /// Failures in a row while up; successful probes in a row on probation.
    streak: u8,
    /// Times in a row that it was put out; sets how long.
    ejections: u8,
    /// The end of the last time out; 46 bits, two thousand years.
    until_ms: u64,
}

impl State {
    fn unpack(word: u64) -> Self {
        Self {
            out: word & 1 != 0,
            probing: word & 2 != 0,
            streak: (word >> 2) as u8,
            ejections: (word >> 10) as u8,
            until_ms: word >> 18,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.out)
            | u64::from(self.probing) << 1
            | u64::from(self.streak) << 2
            | u64::from(self.ejections) << 10
            | self.until_ms << 18
    }

    fn ejected(self, now_ms: u64, rules: Rules) -> Self {
        let length = 1_u64
            .checked_shl(self.ejections.into())
            .and_then(|factor| rules.base_ms.checked_mul(factor))
            .map_or(rules.max_ms, |length| length.min(rules.max_ms));
        Self {
            out: true,
            probing: false,
            streak: 0,
            ejections: self.ejections.saturating_add(1),
            until_ms: now_ms.saturating_add(length).min(u64::MAX >> 18),
        }
    }

    fn failed(self, now_ms: u64, rules: Rules) -> Self {
        let streak = self.streak.saturating_add(1);
        if streak < rules.failures {
            return Self { streak, ..self };
        }
        // What worked for longer than the longest time out starts over.
        let worked = now_ms.saturating_sub(self.until_ms) > rules.max_ms;
        let ejections = if worked { 0 } else { self.ejections };
        Self { ejections, ..self }.ejected(now_ms, rules)
    }

    fn probe_succeeded(self, rules: Rules) -> Self {
        let streak = self.streak.saturating_add(1);
        let back = streak >= rules.probes;
        Self {
            out: !back,
            probing: false,
            streak: if back { 0 } else { streak },
            ..self
        }
    }
}

#[derive(Debug)]
pub(super) struct Probation {
    word: AtomicU64,
    rules: Rules,
}

impl Probation {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            word: AtomicU64::new(0),
            rules,
        }
    }

    pub(super) fn now(&self, now_ms: u64) -> Now {
        let state = State::unpack(self.word.load(Ordering::Acquire));
        match state {
            State { out: false, .. } => Now::Up,
            State { until_ms, .. } if now_ms < until_ms => Now::OutUntil(until_ms),
            _ => Now::Probation,
        }
    }

    /// Lets a call through, or says that it may not be made.
    pub(super) fn admit(&self, now_ms: u64) -> Option<Admitted> {
        if self.now(now_ms) == Now::Up {
            return Some(Admitted { probe: false });
        }
        self.change(|state| {
            let free = state.out && !state.probing && state.until_ms <= now_ms;
            free.then_some(State {
                probing: true,
                ..state
            })
        })
        .then_some(Admitted { probe: true })
    }

    pub(super) fn succeeded(&self, admitted: Admitted) {
        let rules = self.rules;
        self.change(|state| match (admitted.probe, state.out) {
            (true, _) => Some(state.probe_succeeded(rules)),
            // The usual case changes nothing: no write, so no contention between calls that succeed.
            (false, false) if state.streak > 0 => Some(State { streak: 0, ..state }),
            (false, _) => None,
        });
    }

    pub(super) fn failed(&self, admitted: Admitted, now_ms: u64) {
        let rules = self.rules;
        self.change(|state| match (admitted.probe, state.out) {
            (true, _) => Some(state.ejected(now_ms, rules)),
            (false, false) => Some(state.failed(now_ms, rules)),
            (false, true) => None,
        });
    }

    /// The call says nothing; a probe's place is free again.
    pub(super) fn given_up(&self, admitted: Admitted) {
        if admitted.probe {
            self.change(|state| {
                Some(State {
                    probing: false,
                    ..state
                })
            });
        }
    }

    /// Whether it was changed.
    fn change(&self, to: impl Fn(State) -> Option<State>) -> bool {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                to(State::unpack(word)).map(State::pack)
            })
            .is_ok()
    }
}
