//! What is held back because it failed, and for how long.
//!
//! A row that failed must not be overtaken by a later row of its key, and must not keep other keys
//! waiting. So its *key* is held back: passes leave it out until it may be tried again. If several keys
//! of a destination fail and none gets through, the whole *destination* is held back, and later probed
//! with a few keys, instead of being tried with all that piled up.
//!
//! Rows that are refused must not fill the batches of all passes, with others never read behind them. So a destination of which
//! too many keys are refused to hold each of them (a topic that was deleted) is held back as a whole, too; and what may be tried
//! again is left out of the pass after one that it has filled ([`Tries`]).
//!
//! This is memory only. Losing it costs one more failed attempt.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use backoff::Backoff;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::row::Group;
use crate::lane::{self, Lanes};

/// For how long one key must have failed, with nothing else to tell by, until its destination counts as away.
const ALONE: Duration = Duration::from_secs(5);
/// The first wait after a failure is at most this long; each further one up to twice as long.
const BASE: Duration = Duration::from_millis(100);
/// No wait is longer: so late at most does the relay notice that a broker is back.
const CAP: Duration = Duration::from_secs(5);
/// Keys held back at most; for one more, the destination with most of them is held back instead of its keys.
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

/// Whether a pass tries again what has failed and whose hold has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    /// Beside everything else.
    Again,
    /// No: it leaves the batch to what has not failed.
    NothingAgain,
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
    /// Something is left out though its hold has run out.
    pub(super) postponed: bool,
}

impl View {
    /// Whether there is nothing to leave out.
    pub(super) fn is_empty(&self) -> bool {
        self.destinations.is_empty() && self.keys.is_empty()
    }

    fn leaves_out(&mut self, hold: &Hold, now: Instant, tries: Tries) -> bool {
        let is_postponed = hold.until <= now && tries == Tries::NothingAgain;
        self.postponed |= is_postponed;
        hold.until > now || is_postponed
    }
}

#[derive(Default)]
pub(super) struct Holds(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    destinations: HashMap<String, Hold>,
    keys: HashMap<Group, Hold>,
    /// Lanes that had no rows when they were last looked at, and of which nothing has been tried since.
    empty: Lanes,
}

struct Hold {
    until: Instant,
    backoff: Backoff,
    failures: usize,
    /// The broker was not reached, in contrast to a row that it does not take.
    is_away: bool,
    /// Of a destination: it has refused more keys than can be held, and has taken none since. An outage does not change that.
    refuses: bool,
    /// Others got through to the destination meanwhile: the trouble is this key's own.
    is_own: bool,
    since: Instant,
    /// Its trouble has been logged.
    is_logged: bool,
    reason: String,
}

impl Holds {
    /// What to leave out of a pass that begins at `now`.
    pub(super) fn view(&self, now: Instant, tries: Tries) -> View {
        let inner = self.lock();
        let mut view = View::default();
        for (destination, hold) in &inner.destinations {
            if view.leaves_out(hold, now, tries) {
                view.destinations.push(destination.clone());
            } else {
                view.probing.insert(destination.clone(), hold.failures);
            }
        }
        for ((destination, key), hold) in &inner.keys {
            if view.leaves_out(hold, now, tries) {
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

    /// Why a destination is away, if one is, as far as anything was sent to it. Keys in trouble of their own do not count, nor
    /// does what is refused.
    pub(super) fn reason(&self, now: Instant) -> Option<String> {
        let inner = self.lock();
        let keys = inner.keys.iter().filter(|(_, hold)| hold.is_alone(now));
        let away = inner.destinations.iter().filter(|(_, hold)| hold.is_away);
        let first = away
            .chain(keys.map(|((destination, _), hold)| (destination, hold)))
            .min_by_key(|(destination, _)| *destination);
        first.map(|(destination, hold)| format!("{destination}: {}", hold.reason))
    }

    /// Sets, extends and ends holds by the results of a pass.
    pub(super) fn record(&self, fates: &[(Group, Fate)], now: Instant) {
        let mut inner = self.lock();
        for ((_, key), _) in fates {
            inner.empty.remove(lane::of(key));
        }
        let answered = destinations_of(fates, |fate| !matches!(fate, Fate::Unavailable(_)));
        let taken = destinations_of(fates, |fate| matches!(fate, Fate::Sent));
        // An answer shows that the broker is there, even if it is a refusal; that a destination takes events, only one that it took.
        inner.destinations.retain(|destination, hold| {
            let destination = destination.as_str();
            hold.is_away &= !answered.contains(destination);
            let over = if hold.refuses { &taken } else { &answered };
            !over.contains(destination)
        });
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
                        || fresh.get(destination).is_some_and(|keys| *keys > 1);
                    if away {
                        inner.hold_destination(destination, reason, true, now);
                    } else {
                        inner.hold_key(group, reason, true, now);
                    }
                }
                Fate::Unavailable(reason) => inner.hold_key(group, reason, true, now),
                // A probe, or one of those that were tried before it was known that many are refused.
                Fate::Rejected(reason) if inner.destinations.contains_key(destination) => {
                    inner.hold_destination(destination, reason, false, now);
                }
                Fate::Rejected(reason) => inner.hold_key(group, reason, false, now),
            }
        }
    }

    /// Notes that these lanes have no rows; returns whether none of all lanes has any. Then nothing is held back: another relay
    /// has sent what failed here, which no answer of the broker would tell this one.
    pub(super) fn note_empty(&self, lanes: Lanes) -> bool {
        let mut inner = self.lock();
        inner.empty = inner.empty.and(lanes);
        let is_all = inner.empty == Lanes::ALL;
        if is_all {
            inner.destinations.clear();
            inner.keys.clear();
        }
        is_all
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

/// The destinations to which something had such a fate.
fn destinations_of(fates: &[(Group, Fate)], had: impl Fn(&Fate) -> bool) -> HashSet<&str> {
    let those = fates.iter().filter(|(_, fate)| had(fate));
    those.map(|((to, _), _)| to.as_str()).collect()
}

impl Inner {
    fn hold_destination(&mut self, destination: &str, reason: &str, is_away: bool, now: Instant) {
        let hold = self
            .destinations
            .entry(destination.to_owned())
            .or_insert_with(|| Hold::new(now));
        hold.refuses |= !is_away;
        // Like its reason, this is of the failure that set or extended it.
        if hold.until <= now {
            hold.is_away = is_away;
        }
        extend(hold, reason, now);
    }

    /// Logs the trouble of a key's own; that a broker is away is reported as the state of the relay.
    fn hold_key(&mut self, group: &Group, reason: &str, is_away: bool, now: Instant) {
        let (destination, key) = group;
        if self.keys.len() >= MAX_KEYS && !self.keys.contains_key(group) {
            self.make_room(now);
            if self.destinations.contains_key(destination) {
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
            tracing::warn!(
                destination,
                key,
                reason,
                "an event was not sent; it and the later events of its key wait"
            );
        }
    }

    /// Holds the destination with most of the held keys as a whole, in place of them.
    fn make_room(&mut self, now: Instant) {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (destination, _) in self.keys.keys() {
            *counts.entry(destination).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, keys)| *keys);
        let Some(destination) = most.map(|(destination, _)| destination.to_owned()) else {
            return;
        };
        let is_its_own = |group: &Group| group.0 == destination;
        let reason = self.keys.iter().find(|(group, _)| is_its_own(group));
        let reason = reason
            .map(|(_, hold)| hold.reason.clone())
            .unwrap_or_default();
        self.keys.retain(|group, _| !is_its_own(group));
        tracing::warn!(
            destination,
            reason,
            "too many keys of a destination fail to hold each of them back; all of its events wait, and a few are tried now and then"
        );
        self.hold_destination(&destination, &reason, false, now);
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
            refuses: false,
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
mod tests;
