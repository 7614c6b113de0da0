//! What is held back because it failed, and for how long.
//!
//! A row that failed must not be overtaken by a later row of its key, and must not keep other keys
//! waiting. So its *key* is held back: passes leave it out until it may be tried again. If several keys
//! of a destination fail and none gets through, the whole *destination* is held back, and later probed
//! with a few keys, instead of being tried with all that piled up.
//!
//! This is memory only. Losing it costs one more failed attempt.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use backoff::Backoff;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::row::Group;

/// For how long one key must have failed, with nothing else to tell by, until its destination counts as away.
const ALONE: Duration = Duration::from_secs(5);
/// The first wait after a failure is at most this long; each further one up to twice as long.
const BASE: Duration = Duration::from_millis(100);
/// No wait is longer: so late at most does the relay notice that a broker is back.
const CAP: Duration = Duration::from_secs(5);
/// Keys held back at most; with more, their destination is held back instead.
const MAX_KEYS: usize = 1000;

/// The result of a pass for one group.
pub(super) enum Fate {
    /// All of its rows that were tried were acknowledged.
    Sent,
    /// The broker was not reached, or did not answer in time.
    Unavailable(String),
    /// The broker, or the row itself, says that this row can never be sent.
    Rejected(String),
}

/// What a pass has to leave out, and what it may only probe.
#[derive(Default)]
pub(super) struct View {
    pub(super) destinations: Vec<String>,
    /// Held keys as two parallel lists, as SQL wants them.
    pub(super) key_destinations: Vec<String>,
    pub(super) keys: Vec<String>,
    /// Destinations whose hold has run out, and how often they have failed in a row.
    pub(super) probing: HashMap<String, usize>,
}

impl View {
    /// Whether there is nothing to leave out.
    pub(super) fn is_empty(&self) -> bool {
        self.destinations.is_empty() && self.keys.is_empty()
    }
}

#[derive(Default)]
pub(super) struct Holds(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    destinations: HashMap<String, Hold>,
    keys: HashMap<Group, Hold>,
}

struct Hold {
    until: Instant,
    backoff: Backoff,
    failures: usize,
    /// The broker was not reached, in contrast to a row that it does not take.
    is_away: bool,
    /// Others got through to the destination meanwhile: the trouble is this key's own.
    is_own: bool,
    since: Instant,
    /// Its trouble has been logged.
    is_logged: bool,
    reason: String,
}

impl Holds {
    /// What to leave out of a pass that begins at `now`.
    pub(super) fn view(&self, now: Instant) -> View {
        let inner = self.lock();
        let mut view = View::default();
        for (destination, hold) in &inner.destinations {
            if hold.until > now {
                view.destinations.push(destination.clone());
            } else {
                view.probing.insert(destination.clone(), hold.failures);
            }
        }
        for ((destination, key), hold) in &inner.keys {
            if hold.until > now {
                view.key_destinations.push(destination.clone());
                view.keys.push(key.clone());
            }
        }
        view
    }

    /// When the earliest hold expires, if there is an active one.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let inner = self.lock();
        let all = inner.destinations.values().chain(inner.keys.values());
        all.map(|hold| hold.until)
            .filter(|until| *until > now)
            .min()
    }

    /// Why a destination is away, if one is, as far as anything was sent to it. Keys in trouble of their own do not count.
    pub(super) fn reason(&self, now: Instant) -> Option<String> {
        let inner = self.lock();
        let keys = inner.keys.iter().filter(|(_, hold)| hold.is_alone(now));
        let first = (inner.destinations.iter())
            .chain(keys.map(|((destination, _), hold)| (destination, hold)))
            .min_by_key(|(destination, _)| *destination);
        first.map(|(destination, hold)| format!("{destination}: {}", hold.reason))
    }

    /// Sets, extends and ends holds by the results of a pass.
    pub(super) fn record(&self, fates: &[(Group, Fate)], now: Instant) {
        let mut inner = self.lock();
        // An answer shows that the broker is there, even if it is a refusal.
        let answered: HashSet<&str> = fates
            .iter()
            .filter(|(_, fate)| !matches!(fate, Fate::Unavailable(_)))
            .map(|((destination, _), _)| destination.as_str())
            .collect();
        for destination in &answered {
            inner.destinations.remove(*destination);
        }
        for ((destination, _), hold) in &mut inner.keys {
            hold.is_own |= answered.contains(destination.as_str());
        }
        let mut fresh: HashMap<&str, usize> = HashMap::new();
        for (group, fate) in fates {
            if matches!(fate, Fate::Unavailable(_)) && !inner.keys.contains_key(group) {
                *fresh.entry(&group.0).or_default() += 1;
            }
        }
        for (group, fate) in fates {
            let destination = group.0.as_str();
            match fate {
                Fate::Sent => {
                    inner.keys.remove(group);
                }
                Fate::Unavailable(reason) if !answered.contains(destination) => {
                    // One failing key tells nothing about the others; two that fail at once do, and so
                    // does a probe. A key that is known to fail does not count again.
                    let away = inner.destinations.contains_key(destination)
                        || fresh.get(destination).is_some_and(|keys| *keys > 1)
                        || inner.keys.len() >= MAX_KEYS;
                    if away {
                        inner.hold_destination(destination, reason, now)
                    } else {
                        inner.hold_key(group, reason, true, now)
                    }
                }
                Fate::Unavailable(reason) => inner.hold_key(group, reason, true, now),
                Fate::Rejected(reason) => inner.hold_key(group, reason, false, now),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

impl Inner {
    fn hold_destination(&mut self, destination: &str, reason: &str, now: Instant) {
        extend(
            self.destinations
                .entry(destination.to_owned())
                .or_insert_with(|| Hold::new(now)),
            reason,
            now,
        );
    }

    /// Logs the trouble of a key's own; that a broker is away is reported as the state of the relay.
    fn hold_key(&mut self, group: &Group, reason: &str, is_away: bool, now: Instant) {
        if !self.keys.contains_key(group) {
            let (destination, key) = group;
            if self.keys.len() >= MAX_KEYS {
                // It stays in the outbox all the same, and is tried at every pass.
                tracing::warn!(
                    destination,
                    key,
                    reason,
                    "an event was not sent and is tried at every pass; too many keys fail to hold each of them back"
                );
                return;
            }
        }
        let hold = self
            .keys
            .entry(group.clone())
            .or_insert_with(|| Hold::new(now));
        hold.is_away = is_away;
        extend(hold, reason, now);
        if (!is_away || hold.is_own) && !hold.is_logged {
            hold.is_logged = true;
            let (destination, key) = group;
            tracing::warn!(
                destination,
                key,
                reason,
                "an event was not sent; it and the later events of its key wait"
            );
        }
    }
}

impl Hold {
    /// Whether the destination counts as away by this key alone.
    fn is_alone(&self, now: Instant) -> bool {
        self.is_away && !self.is_own && now.duration_since(self.since) >= ALONE
    }

    fn new(now: Instant) -> Self {
        Self {
            until: now,
            backoff: Backoff::new(BASE, CAP),
            failures: 0,
            is_away: true,
            is_own: false,
            since: now,
            is_logged: false,
            reason: String::new(),
        }
    }
}

/// Extends a hold after a failure. Failures during a hold (other keys of the pass, the other worker) do not extend it
/// again.
fn extend(hold: &mut Hold, reason: &str, now: Instant) {
    if hold.until <= now {
        hold.until = now + hold.backoff.next();
        hold.failures += 1;
        reason.clone_into(&mut hold.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(key: &str, fate: Fate) -> (Group, Fate) {
        (("topic:events".to_owned(), key.to_owned()), fate)
    }

    fn away(key: &str) -> (Group, Fate) {
        fate(key, Fate::Unavailable("no answer".to_owned()))
    }

    #[test]
    fn a_lone_key_counts_for_its_broker_after_a_while() {
        let (holds, start) = (Holds::default(), Instant::now());
        holds.record(&[away("a")], start);
        assert_eq!(holds.reason(start + ALONE - Duration::from_millis(1)), None);
        let reason = holds.reason(start + ALONE);
        assert_eq!(reason.as_deref(), Some("topic:events: no answer"));
        holds.record(&[fate("a", Fate::Sent)], start + ALONE);
        assert_eq!(holds.reason(start + ALONE), None);
    }

    #[test]
    fn a_key_that_fails_beside_others_that_are_sent_is_no_outage() {
        let (holds, start) = (Holds::default(), Instant::now());
        holds.record(&[away("a")], start);
        holds.record(&[fate("b", Fate::Sent)], start);
        assert_eq!(holds.reason(start + ALONE), None);
    }

    #[test]
    fn a_row_that_is_rejected_is_no_outage() {
        let (holds, start) = (Holds::default(), Instant::now());
        holds.record(&[fate("a", Fate::Rejected("too large".to_owned()))], start);
        assert_eq!(holds.reason(start + ALONE), None);
    }
}
