//! The headers of a parked message, the same on every engine.

use chrono::{SecondsFormat, Utc};

use crate::Message;

/// Why it was parked; at most [`REASON_MAX_BYTES`].
pub const REASON: &str = "dlq_reason";
/// How often it was tried.
pub const ATTEMPTS: &str = "dlq_attempts";
/// The topic that it was consumed from.
pub const TOPIC: &str = "dlq_topic";
/// The partition of that topic.
pub const PARTITION: &str = "dlq_partition";
/// The offset in that partition.
pub const OFFSET: &str = "dlq_offset";
/// The queue that it was consumed from.
pub const QUEUE: &str = "dlq_queue";
/// When it was parked, RFC 3339 in UTC.
pub const TIME: &str = "dlq_time";

/// All of these headers begin with it, so sending a message again means dropping them.
pub const PREFIX: &str = "dlq_";

/// The longest reason in bytes: a reason must not make a message too large for its dead-letter queue.
pub const REASON_MAX_BYTES: usize = 2048;

/// Where a message was when it was parked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    Topic {
        name: &'a str,
        partition: i32,
        offset: i64,
    },
    Queue(&'a str),
}

/// The message with the reason and its origin in the headers. Key, body and all other headers stay as they are; the
/// headers of an earlier parking are replaced.
pub(crate) fn parked(
    message: &Message,
    origin: Origin<'_>,
    reason: &str,
    attempts: u32,
) -> Message {
    let mut parked = message.clone();
    parked.headers.retain(|(name, _)| !name.starts_with(PREFIX));
    let mut add = |name: &str, value: String| parked.headers.push((name.to_owned(), value));
    add(REASON, truncated(reason).to_owned());
    add(ATTEMPTS, attempts.to_string());
    match origin {
        Origin::Topic {
            name,
            partition,
            offset,
        } => {
            add(TOPIC, name.to_owned());
            add(PARTITION, partition.to_string());
            add(OFFSET, offset.to_string());
        }
        Origin::Queue(name) => add(QUEUE, name.to_owned()),
    }
    add(
        TIME,
        Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
    );
    parked
}

fn truncated(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_parking_replaces_the_story_of_the_first() {
        let message = Message::new("x").with_header("ce_id", "1");
        let once = parked(&message, Origin::Queue("q"), "first", 8);
        let twice = parked(&once, Origin::Queue("q"), "second", 1);
        assert_eq!(twice.header("ce_id"), Some("1"));
        let reasons: Vec<_> = twice
            .headers
            .iter()
            .filter(|(name, _)| name == REASON)
            .collect();
        assert_eq!(reasons, [&(REASON.to_owned(), "second".to_owned())]);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "ü".repeat(REASON_MAX_BYTES);
        let message = parked(&Message::default(), Origin::Queue("q"), &reason, 1);
        assert!(message.header(REASON).unwrap().len() <= REASON_MAX_BYTES);
    }
}
