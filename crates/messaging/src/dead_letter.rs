//! The headers of a parked message, the same on every engine.

use chrono::{SecondsFormat, Utc};

use crate::Message;

/// Appended to a queue's name: where its parked messages lie.
pub const DEAD_SUFFIX: &str = ".dead";

/// The end of a dead-letter topic's name.
pub(crate) const DEAD_TOPIC_SUFFIX: &str = ".dlq";

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
/// How many bytes its body had, if the body was too large to be parked and is only where the message was consumed from.
pub const BODY_BYTES: &str = "dlq_body_bytes";

/// How often it was sent again ([`crate::dead_letters`]). The message carries it to its handler, too.
pub const REDRIVEN: &str = "dlq_redriven";
/// Why it was parked before it was sent again: one header for each time, the newest first, at most
/// [`REASONS_BEFORE_MAX`].
pub const REASON_BEFORE: &str = "dlq_reason_before";

/// All of these headers begin with it.
pub const PREFIX: &str = "dlq_";

/// The longest reason in bytes: a reason must not make a message too large for its dead-letter queue.
pub const REASON_MAX_BYTES: usize = 2048;

/// The most earlier reasons that a message keeps.
pub const REASONS_BEFORE_MAX: usize = 4;

/// The most bytes that the key and the headers of the message have in a letter that had to be made smaller.
#[cfg(any(feature = "kafka", feature = "amqp"))]
const KEPT_MAX_BYTES: usize = 16 * 1024;

/// What a message that was sent again keeps of its earlier parking: where it came from at first, and what went before.
const KEPT: [&str; 6] = [REDRIVEN, REASON_BEFORE, TOPIC, PARTITION, OFFSET, QUEUE];

/// Where a message was when it was parked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    #[cfg(feature = "kafka")]
    Topic {
        name: &'a str,
        position: Option<crate::position::Position>,
    },
    #[cfg(feature = "_queue")]
    Queue(&'a str),
}

/// The message with the reason and its origin in the headers. Key, body and all other headers stay as they are. The
/// headers of an earlier parking are replaced, unless the message was sent again since: then its first origin and its
/// earlier reasons stay, and attempts add up.
pub(crate) fn parked(
    message: &Message,
    origin: Origin<'_>,
    reason: &str,
    attempts: u32,
) -> Message {
    let again = message.header(REDRIVEN).is_some();
    let before = if again { number(message, ATTEMPTS) } else { 0 };
    let mut parked = message.clone();
    parked
        .headers
        .retain(|(name, _)| !name.starts_with(PREFIX) || (again && KEPT.contains(&name.as_str())));
    let has_origin = [TOPIC, QUEUE]
        .iter()
        .any(|name| parked.header(name).is_some());
    let mut add = |name: &str, value: String| parked.headers.push((name.to_owned(), value));
    add(REASON, storable(reason));
    add(ATTEMPTS, before.saturating_add(attempts).to_string());
    match origin {
        _ if has_origin => {}
        #[cfg(feature = "kafka")]
        Origin::Topic { name, position } => {
            add(TOPIC, name.to_owned());
            if let Some(position) = position {
                add(PARTITION, position.partition.to_string());
                add(OFFSET, position.offset.to_string());
            }
        }
        #[cfg(feature = "_queue")]
        Origin::Queue(name) => add(QUEUE, name.to_owned()),
    }
    add(TIME, now());
    parked
}

/// A letter without its body, whose size it names, and without large headers: what is parked of a message that is too
/// large for its dead-letter topic or queue. The origin in the letter says where the message is whole.
#[cfg(feature = "kafka")]
pub(crate) fn without_body(letter: Message) -> Message {
    let size = letter.payload.len().to_string();
    let mut small = without_large_headers(letter);
    small.payload = bytes::Bytes::new();
    small.headers.push((BODY_BYTES.to_owned(), size));
    small
}

/// A letter with the key and the headers that fit into [`KEPT_MAX_BYTES`], in their order; its own headers always do.
#[cfg(any(feature = "kafka", feature = "amqp"))]
pub(crate) fn without_large_headers(letter: Message) -> Message {
    let mut room = KEPT_MAX_BYTES;
    let mut fits = |bytes: usize| {
        let rest = room.checked_sub(bytes);
        room = rest.unwrap_or(room);
        rest.is_some()
    };
    let key = letter.key.filter(|key| fits(key.len()));
    let mut headers = letter.headers;
    headers.retain(|(name, value)| name.starts_with(PREFIX) || fits(name.len() + value.len()));
    Message {
        key,
        headers,
        payload: letter.payload,
    }
}

/// A parked message as it is sent again: with the count of that, its reasons as earlier ones, and its first origin.
pub(crate) fn redriven(parked: &Message) -> Message {
    let times = number(parked, REDRIVEN).saturating_add(1);
    let reasons = |wanted: &'static str| {
        let headers = parked.headers.iter();
        headers.filter(move |(name, _)| name == wanted)
    };
    let before: Vec<_> = reasons(REASON)
        .chain(reasons(REASON_BEFORE))
        .take(REASONS_BEFORE_MAX)
        .map(|(_, reason)| (REASON_BEFORE.to_owned(), reason.clone()))
        .collect();
    let mut again = parked.clone();
    again.headers.retain(|(name, _)| {
        let origin = [TOPIC, PARTITION, OFFSET, QUEUE].contains(&name.as_str());
        !name.starts_with(PREFIX) || origin || name == ATTEMPTS
    });
    again.headers.push((REDRIVEN.to_owned(), times.to_string()));
    again.headers.extend(before);
    again
}

/// The number in a header; 0 if there is none.
pub(crate) fn number(message: &Message, name: &str) -> u32 {
    let text = message.header(name);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The time as the headers have it.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The reason as every engine can store it: not too long, and without zero bytes, which PostgreSQL has in no text. A letter
/// that cannot be stored would be handled again until its attempts are used up.
fn storable(reason: &str) -> String {
    let mut reason = reason.replace('\0', "\u{fffd}");
    reason.truncate(reason.floor_char_boundary(REASON_MAX_BYTES));
    reason
}

#[cfg(all(test, feature = "kafka", feature = "_queue"))]
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
    fn who_was_sent_again_keeps_its_origin_and_both_reasons() {
        let origin = Origin::Topic {
            name: "order-events",
            position: Some(crate::position::Position {
                partition: 3,
                offset: 7,
            }),
        };
        let message = Message::new("x").with_header("ce_id", "1");
        let once = parked(&message, origin, "first", 8);
        let again = redriven(&once);
        assert_eq!(again.header(REASON), None, "it is not parked any more");
        let elsewhere = Origin::Queue("order-events.products");
        let twice = parked(&again, elsewhere, "second", 1);
        let of = |name| twice.header(name).unwrap();
        assert_eq!((of(REASON), of(REASON_BEFORE)), ("second", "first"));
        assert_eq!(
            (of(TOPIC), of(PARTITION), of(OFFSET)),
            ("order-events", "3", "7")
        );
        assert_eq!((of(REDRIVEN), of(ATTEMPTS), of("ce_id")), ("1", "9", "1"));
        assert_eq!(twice.header(QUEUE), None);
        assert_eq!(redriven(&twice).header(REDRIVEN), Some("2"));
    }

    #[test]
    fn earlier_reasons_have_a_limit() {
        let mut message = Message::new("x");
        for n in 0..10 {
            message = redriven(&parked(&message, Origin::Queue("q"), &n.to_string(), 1));
        }
        let before = message.headers.iter().filter(|(n, _)| n == REASON_BEFORE);
        let before: Vec<_> = before.map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(before, ["9", "8", "7", "6"]);
    }

    #[test]
    fn an_unknown_position_is_left_out() {
        let parked_at = |position| {
            let name = "topic";
            let parked = parked(
                &Message::default(),
                Origin::Topic { name, position },
                "r",
                1,
            );
            let header = |name| parked.header(name).map(str::to_owned);
            (header(TOPIC), header(PARTITION), header(OFFSET))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(parked_at(None), (text("topic"), None, None));
        let position = crate::position::Position {
            partition: 3,
            offset: 0,
        };
        assert_eq!(
            parked_at(Some(position)),
            (text("topic"), text("3"), text("0"))
        );
    }

    #[test]
    fn a_letter_without_its_body_is_small_and_says_how_large_the_body_was() {
        let message = Message::new(vec![7; 2_000_000])
            .with_key("k")
            .with_header("large", "x".repeat(KEPT_MAX_BYTES))
            .with_header("ce_id", "1");
        let whole = parked(&message, Origin::Queue("q"), "unreadable", 1);
        let small = without_body(whole);
        assert_eq!(small.payload.len(), 0);
        assert_eq!(small.header(BODY_BYTES), Some("2000000"));
        assert_eq!(small.header("large"), None);
        let of = |name| small.header(name).unwrap();
        assert_eq!(
            (of("ce_id"), of(REASON), of(QUEUE)),
            ("1", "unreadable", "q")
        );
        assert_eq!(small.key.as_deref(), Some("k"));
        let keyed = Message::new("x").with_key("k".repeat(KEPT_MAX_BYTES + 1));
        assert_eq!(without_large_headers(keyed).key, None);
    }

    #[test]
    fn a_reason_has_no_zero_bytes_and_stays_short() {
        let zeros = "\0".repeat(REASON_MAX_BYTES);
        let message = parked(&Message::default(), Origin::Queue("q"), &zeros, 1);
        let reason = message.header(REASON).unwrap();
        assert!(!reason.contains('\0') && reason.starts_with('\u{fffd}'));
        assert!(reason.len() <= REASON_MAX_BYTES);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "ü".repeat(REASON_MAX_BYTES);
        let message = parked(&Message::default(), Origin::Queue("q"), &reason, 1);
        assert!(message.header(REASON).unwrap().len() <= REASON_MAX_BYTES);
    }
}
