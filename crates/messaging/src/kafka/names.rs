//! The names of the dead-letter and retry topics of a topic.

use super::config::{ConsumerOptions, ParkIn};
use crate::dead_letter::DEAD_TOPIC_SUFFIX;
use crate::{MessagingError, names};

/// The longest name of a topic, in characters: Kafka's own limit.
const TOPIC_MAX_CHARS: usize = 249;
/// The end of a retry topic's name.
const RETRY_SUFFIX: &str = ".retry";

/// The topic where `group` parks messages of `topic`. Each group has its own, since another group may be able to handle them; but
/// mind the dots: `c` of `a.b` and `b.c` of `a` would have the same.
#[must_use]
pub fn dead_letter_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}{DEAD_TOPIC_SUFFIX}")
}

/// The topic from which `group` alone takes messages of `topic` again, those that were parked and sent again.
#[must_use]
pub fn retry_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}{RETRY_SUFFIX}")
}

/// The queue of what `group` could not handle, where dead letters are kept in queues ([`super::ParkIn::Queue`]). They are
/// parked in its dead-letter queue, and taken again from the queue itself.
#[must_use]
pub fn group_queue(topic: &str, group: &str) -> String {
    format!("{topic}.{group}")
}

/// Checks that what the group cannot handle can have a place. Kafka takes any text as the name of a group, and not as a part of
/// the name of a topic: a partition would wait at its first dead letter for ever.
pub(super) fn check(options: &ConsumerOptions) -> Result<(), MessagingError> {
    let group = &options.group;
    options.topics.iter().try_for_each(|topic| {
        check_topic(&retry_topic(topic, group))?;
        match options.park_in {
            ParkIn::Topic => Ok(()),
            ParkIn::Queue(_) => names::check(&names::dead(&group_queue(topic, group))),
        }
    })
}

fn check_topic(name: &str) -> Result<(), MessagingError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() <= TOPIC_MAX_CHARS && name.chars().all(allowed) {
        return Ok(());
    }
    Err(MessagingError::Name(format!(
        "`{name}` cannot name a topic, so nothing could be parked or sent again: Kafka takes up to {TOPIC_MAX_CHARS} letters, digits, \
         `.`, `_` and `-`"
    )))
}

/// Whether `name` is [`retry_topic`] of the other two; asked for each message, so it allocates nothing.
pub(super) fn is_retry_topic(name: &str, topic: &str, group: &str) -> bool {
    let rest = name.strip_prefix(topic).and_then(|n| n.strip_prefix('.'));
    rest.and_then(|n| n.strip_prefix(group)) == Some(RETRY_SUFFIX)
}

/// The retry topic that belongs to a dead-letter topic.
pub(super) fn retry_of_dead_letters(dead_letters: &str) -> Option<String> {
    let stem = dead_letters.strip_suffix(DEAD_TOPIC_SUFFIX)?;
    Some(format!("{stem}{RETRY_SUFFIX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_whose_dead_letters_could_have_no_place_is_refused() {
        let check = |group: &str| check(&ConsumerOptions::new(group, ["order-events"]));
        let longest = TOPIC_MAX_CHARS - retry_topic("order-events", "").len();
        for group in ["products", "a.b_c-1", &"g".repeat(longest)] {
            assert!(check(group).is_ok(), "{group}");
        }
        for group in ["the group", "orders:v2", "ü", &"g".repeat(longest + 1)] {
            let refused = check(group).unwrap_err().to_string();
            assert!(refused.contains(group), "{refused}");
        }
    }

    #[test]
    fn a_dead_letter_topic_leads_to_the_retry_topic_of_its_group() {
        let dead = dead_letter_topic("order-events", "products");
        assert_eq!(dead, "order-events.products.dlq");
        let retry = retry_topic("order-events", "products");
        assert!(is_retry_topic(&retry, "order-events", "products"));
        for (topic, group) in [("order-event", "products"), ("order-events", "product")] {
            assert!(!is_retry_topic(&retry, topic, group), "{topic} {group}");
        }
        assert_eq!(retry_of_dead_letters(&dead), Some(retry));
        assert_eq!(retry_of_dead_letters("order-events"), None);
    }
}
