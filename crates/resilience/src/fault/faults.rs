//! The fault rules of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Kind, Rule};
use crate::ConfigError;

/// The fault rules of this process, shared by all layers and by the code that sets them. Clones share one set of rules.
///
/// Each of a target's rules is drawn independently: the delays of those that hit add up, and the first one that fails
/// or hangs ends the call. So "slow, and every tenth fails" is two rules.
#[derive(Debug, Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Whether there are rules, which is all that a call reads while there are none. Relaxed, since a call that passes
    /// while a rule is set might as well have been made a moment earlier.
    any: AtomicBool,
    rules: RwLock<Vec<Active>>,
    random: Mutex<StdRng>,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    broken: AtomicU64,
}

/// A rule and its effect so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSnapshot {
    /// The rule.
    pub rule: Rule,
    /// Calls that it has affected since it was set.
    pub broken: u64,
}

/// The fault to apply to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) delay: Duration,
    pub(super) end: End,
}

impl Fault {
    /// What it does, in a word.
    pub(super) fn name(self) -> &'static str {
        match self.end {
            End::Call => "delay",
            End::Fail => "fail",
            End::Hang => "hang",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Call,
    Fail,
    Hang,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Faults {
    /// A set without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::with_random(StdRng::from_os_rng())
    }

    /// A set without rules; `seed` decides which calls later rules affect, the same each time for the same calls in the
    /// same order.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::with_random(StdRng::seed_from_u64(seed))
    }

    fn with_random(random: StdRng) -> Self {
        Self {
            shared: Arc::new(Shared {
                any: AtomicBool::new(false),
                rules: RwLock::new(Vec::new()),
                random: Mutex::new(random),
            }),
        }
    }

    /// Replaces all rules; one that was there already goes on counting. If one is invalid, nothing is changed.
    ///
    /// # Errors
    /// If a rule is invalid; see [`Rule::validate`].
    pub fn set(&self, rules: Vec<Rule>) -> Result<(), ConfigError> {
        rules.iter().try_for_each(Rule::validate)?;
        self.replace(|active| {
            let mut before = std::mem::take(active);
            *active = rules
                .into_iter()
                .map(
                    |rule| match before.iter().position(|old| old.rule == rule) {
                        Some(at) => before.remove(at),
                        None => Active::new(rule),
                    },
                )
                .collect();
        });
        Ok(())
    }

    /// Adds a rule to the existing ones.
    ///
    /// # Errors
    /// If the rule is invalid; see [`Rule::validate`].
    pub fn add(&self, rule: Rule) -> Result<(), ConfigError> {
        rule.validate()?;
        self.replace(|active| active.push(Active::new(rule)));
        Ok(())
    }

    /// Removes all rules. Calls that already hang go on hanging, and running delays run to their end.
    pub fn clear(&self) {
        self.replace(Vec::clear);
    }

    /// Removes the rules of one target.
    pub fn clear_target(&self, target: &str) {
        self.replace(|active| active.retain(|active| active.rule.target != target));
    }

    /// The rules.
    #[must_use]
    pub fn list(&self) -> Vec<Rule> {
        self.rules().iter().map(|a| a.rule.clone()).collect()
    }

    /// The rules and their effect so far.
    #[must_use]
    pub fn snapshot(&self) -> Vec<RuleSnapshot> {
        let snapshot = |active: &Active| RuleSnapshot {
            rule: active.rule.clone(),
            broken: active.broken.load(Relaxed),
        };
        self.rules().iter().map(snapshot).collect()
    }

    /// Draws the fault for the next call of `target`, if any.
    pub(super) fn draw(&self, target: &str) -> Option<Fault> {
        if !self.shared.any.load(Relaxed) {
            return None;
        }
        self.draw_from_rules(target)
    }

    /// Not inlined, so that callers contain only the load and the jump.
    #[cold]
    fn draw_from_rules(&self, target: &str) -> Option<Fault> {
        let mut fault = Fault {
            delay: Duration::ZERO,
            end: End::Call,
        };
        for active in &*self.rules() {
            if active.rule.target != target || !self.hits(active.rule.percent) {
                continue;
            }
            active.broken.fetch_add(1, Relaxed);
            match active.rule.kind {
                Kind::Delay(delay) => fault.delay = fault.delay.saturating_add(delay),
                Kind::Fail => fault.end = End::Fail,
                Kind::Hang => fault.end = End::Hang,
            }
            if fault.end != End::Call {
                break;
            }
        }
        let broken = fault.end != End::Call || !fault.delay.is_zero();
        broken.then_some(fault)
    }

    fn hits(&self, percent: u8) -> bool {
        self.shared.random.lock().random_range(0..100) < percent
    }

    fn rules(&self) -> RwLockReadGuard<'_, Vec<Active>> {
        self.shared.rules.read()
    }

    fn replace(&self, change: impl FnOnce(&mut Vec<Active>)) {
        let mut rules = self.shared.rules.write();
        change(&mut rules);
        self.shared.any.store(!rules.is_empty(), Relaxed);
    }
}

impl Active {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            broken: AtomicU64::new(0),
        }
    }
}
