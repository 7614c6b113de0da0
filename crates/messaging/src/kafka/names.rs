//! The names of the dead-letter and retry topics of a topic.

use crate::dead_letter::DEAD_TOPIC_SUFFIX;

/// The end of a retry topic's name.
const RETRY_SUFFIX: &str = ".retry";

/// The topic where `group` parks messages of `topic`. Each group has its own, since another group may be able to handle them.
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
