//! Which dead letters are meant.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::DeadLetter;

/// A letter passes if it fulfils all that is set. The default lets all pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The topic or queue that it was consumed from, or the place that it lies in.
    pub source: Option<String>,
    /// The consumer group.
    pub group: Option<String>,
    /// The id of the event, or of the letter.
    pub id: Option<String>,
    /// The type of the event.
    pub event_type: Option<String>,
    /// A part of the reason, an earlier one included; upper or lower case makes no difference.
    pub reason: Option<String>,
    /// Parked at least this long ago.
    pub older_than: Option<Duration>,
    /// Parked at most this long ago.
    pub newer_than: Option<Duration>,
}

impl Filter {
    /// Whether it has a condition that a letter can fail. Every reason has an empty part, and every letter was parked at
    /// least no time ago: a filter of such conditions means all letters, and was hardly meant so.
    #[must_use]
    pub fn is_selective(&self) -> bool {
        let mut rest = self.clone();
        rest.reason = rest.reason.filter(|part| !part.trim().is_empty());
        rest.older_than = rest.older_than.filter(|age| !age.is_zero());
        rest != Self::default()
    }

    /// Whether a letter passes.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        self.matches_at(letter, Utc::now())
    }

    fn matches_at(&self, letter: &DeadLetter, now: DateTime<Utc>) -> bool {
        let is = |wanted: &Option<String>, found: &[Option<&str>]| {
            wanted
                .as_deref()
                .is_none_or(|wanted| found.contains(&Some(wanted)))
        };
        is(&self.source, &[Some(&letter.source), Some(&letter.place)])
            && is(&self.group, &[letter.group.as_deref()])
            && is(&self.id, &[letter.event_id.as_deref(), Some(&letter.id)])
            && is(&self.event_type, &[letter.event_type.as_deref()])
            && self.reason_matches(letter)
            && self.age_matches(letter, now)
    }

    fn reason_matches(&self, letter: &DeadLetter) -> bool {
        let Some(part) = self.reason.as_ref().map(|part| part.to_lowercase()) else {
            return true;
        };
        std::iter::once(&letter.reason)
            .chain(&letter.reasons_before)
            .any(|reason| reason.to_lowercase().contains(&part))
    }

    /// One without a time passes no condition about it.
    fn age_matches(&self, letter: &DeadLetter, now: DateTime<Utc>) -> bool {
        if self.older_than.is_none() && self.newer_than.is_none() {
            return true;
        }
        let Some(parked_at) = letter.parked_at else {
            return false;
        };
        let age = now.signed_duration_since(parked_at);
        let delta = |limit: Duration| TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX);
        self.older_than.is_none_or(|limit| age >= delta(limit))
            && self.newer_than.is_none_or(|limit| age <= delta(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::dead_letter::{Origin, parked, redriven};
    use crate::dead_letters::Position;

    fn letter() -> DeadLetter {
        let message = Message::new("{}")
            .with_header("ce_id", "7")
            .with_header("ce_type", "t.v1");
        let origin = Origin::Topic {
            name: "facts",
            position: Some(crate::position::Position {
                partition: 0,
                offset: 0,
            }),
        };
        let once = parked(&message, origin, "No such product", 1);
        let twice = parked(&redriven(&once), origin, "too late", 1);
        DeadLetter::new("facts.g.dlq", Position::Row(5), twice)
    }

    #[test]
    fn each_condition_can_refuse() {
        let letter = letter();
        let text = |text: &str| Some(text.to_owned());
        assert!(Filter::default().matches(&letter));
        type Set = fn(&mut Filter, Option<String>);
        let conditions: [(Set, &[&str], &str); 5] = [
            (|f, v| f.source = v, &["facts", "facts.g.dlq"], "fact"),
            (|f, v| f.group = v, &["g"], "h"),
            (|f, v| f.id = v, &["7", "facts.g.dlq@5"], "8"),
            (|f, v| f.event_type = v, &["t.v1"], "t.v2"),
            (|f, v| f.reason = v, &["LATE", "no such"], "early"),
        ];
        for (set, passing, refused) in conditions {
            let mut filter = Filter::default();
            for value in passing {
                set(&mut filter, text(value));
                assert!(filter.matches(&letter), "{value}");
            }
            set(&mut filter, text(refused));
            assert!(!filter.matches(&letter), "{refused}");
        }
    }

    #[test]
    fn a_condition_that_all_letters_fulfil_is_none() {
        let reason = |part: &str| Filter {
            reason: Some(part.to_owned()),
            ..Filter::default()
        };
        let older_than = |age| Filter {
            older_than: Some(age),
            ..Filter::default()
        };
        for all in [
            Filter::default(),
            reason(""),
            reason(" "),
            older_than(Duration::ZERO),
        ] {
            assert!(!all.is_selective(), "{all:?}");
        }
        for some in [reason("no such"), older_than(Duration::from_secs(1))] {
            assert!(some.is_selective(), "{some:?}");
        }
    }

    #[test]
    fn age_is_compared_on_both_sides() {
        let letter = letter();
        let later = letter.parked_at.unwrap() + TimeDelta::seconds(60);
        let limit = |seconds| Some(Duration::from_secs(seconds));
        for (older_than, newer_than, passes) in [
            (limit(60), None, true),
            (limit(61), None, false),
            (None, limit(60), true),
            (None, limit(59), false),
            (limit(30), limit(90), true),
        ] {
            let filter = Filter {
                older_than,
                newer_than,
                ..Filter::default()
            };
            assert_eq!(filter.matches_at(&letter, later), passes, "{filter:?}");
        }
    }
}
