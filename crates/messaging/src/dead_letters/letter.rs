//! One dead letter, as it is shown.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::Message;
use crate::dead_letter::{self as headers, DEAD_SUFFIX, DEAD_TOPIC_SUFFIX, number};

/// Where a letter lies in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each engine has its own")]
pub(crate) enum Position {
    /// In a topic.
    Record { partition: i32, offset: i64 },
    /// In PostgreSQL.
    Row(i64),
    /// In RabbitMQ, on the channel of the visit.
    Tag(u64),
}

/// A message that was parked. What it does not say of itself is absent.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// The place and the position in it. RabbitMQ has no positions that two visits have in common: there it is a hash of the letter,
    /// which letters that are the same in everything share.
    pub id: String,
    /// The dead-letter topic or queue.
    pub place: String,
    /// The topic or queue that it was consumed from.
    pub source: String,
    /// The consumer group that could not handle it; only for topics.
    pub group: Option<String>,
    /// Where it was in the topic that it was consumed from.
    pub partition: Option<i32>,
    /// The offset in that partition.
    pub offset: Option<i64>,
    /// When it was parked.
    pub parked_at: Option<DateTime<Utc>>,
    /// How often it was tried, in all.
    pub attempts: u32,
    /// How often it was sent again.
    pub redriven: u32,
    /// Why it was parked.
    pub reason: String,
    /// Why it was parked before it was sent again, the newest first.
    pub reasons_before: Vec<String>,
    /// The id of its event, which a redrive keeps. Absent if it is not in the headers: an event in structured mode has it in its body,
    /// and its type and trace as well.
    pub event_id: Option<String>,
    /// The type of its event.
    pub event_type: Option<String>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// The message's key.
    pub key: Option<String>,
    /// How many bytes its body had, if that was too large to be parked: then it is only where the message was consumed
    /// from, and the letter cannot be sent again.
    pub body_bytes: Option<u64>,
    /// The message as it was parked.
    #[serde(skip)]
    pub message: Message,
    #[serde(skip)]
    pub(crate) position: Position,
}

impl DeadLetter {
    pub(crate) fn new(place: &str, position: Position, message: Message) -> Self {
        let text = |name: &str| message.header(name).map(str::to_owned);
        let (source, group) = origin(place, &message);
        let at = match position {
            Position::Record { partition, offset } => format!("{partition}/{offset}"),
            Position::Row(id) => id.to_string(),
            Position::Tag(_) => format!("{:016x}", hash(&message)),
        };
        let before = message.headers.iter();
        let before = before.filter(|(name, _)| name == headers::REASON_BEFORE);
        Self {
            id: format!("{place}@{at}"),
            place: place.to_owned(),
            source,
            group,
            partition: parsed(&message, headers::PARTITION),
            offset: parsed(&message, headers::OFFSET),
            parked_at: parsed(&message, headers::TIME),
            attempts: number(&message, headers::ATTEMPTS),
            redriven: number(&message, headers::REDRIVEN),
            reason: text(headers::REASON).unwrap_or_else(|| "no reason was given".to_owned()),
            reasons_before: before.map(|(_, reason)| reason.clone()).collect(),
            event_id: text("ce_id"),
            event_type: text("ce_type"),
            trace_id: trace_id(&message),
            key: message.key.clone(),
            body_bytes: parsed(&message, headers::BODY_BYTES),
            message,
            position,
        }
    }
}

/// The same in each visit by this program.
fn hash(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&message.key, &message.headers, &message.payload).hash(&mut hasher);
    hasher.finish()
}

fn parsed<T: std::str::FromStr>(message: &Message, name: &str) -> Option<T> {
    message.header(name)?.parse().ok()
}

/// The topic with its group, or the queue. Names have dots in them, so only the topic's own tells where the group begins.
fn origin(place: &str, message: &Message) -> (String, Option<String>) {
    let stem = [DEAD_TOPIC_SUFFIX, DEAD_SUFFIX]
        .iter()
        .find_map(|suffix| place.strip_suffix(suffix))
        .unwrap_or(place);
    let Some(topic) = message.header(headers::TOPIC) else {
        let queue = message.header(headers::QUEUE).unwrap_or(stem);
        return (queue.to_owned(), None);
    };
    let group = stem.strip_prefix(topic);
    let group = group.and_then(|rest| rest.strip_prefix('.'));
    (topic.to_owned(), group.map(str::to_owned))
}

/// The second part of a W3C trace context.
fn trace_id(message: &Message) -> Option<String> {
    let context = message
        .header("traceparent")
        .or_else(|| message.header("ce_traceparent"))?;
    let id = context.split('-').nth(1)?;
    let well = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    well.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::{Origin, parked};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_letter_tells_its_story() {
        let message = Message::new("{}")
            .with_key("k")
            .with_header("ce_id", "7")
            .with_header("ce_type", "agora.test.v1")
            .with_header("traceparent", PARENT);
        let origin = Origin::Topic {
            name: "a.b",
            position: Some(crate::position::Position {
                partition: 1,
                offset: 9,
            }),
        };
        let parked = parked(&message, origin, "no such product", 2);
        let position = Position::Record {
            partition: 0,
            offset: 4,
        };
        let letter = DeadLetter::new("a.b.c.d.dlq", position, parked);
        assert_eq!(letter.id, "a.b.c.d.dlq@0/4");
        assert_eq!(
            (letter.source.as_str(), letter.group.as_deref()),
            ("a.b", Some("c.d"))
        );
        assert_eq!((letter.partition, letter.offset), (Some(1), Some(9)));
        assert_eq!((letter.attempts, letter.redriven), (2, 0));
        assert_eq!(letter.reason, "no such product");
        assert_eq!(letter.event_id.as_deref(), Some("7"));
        assert_eq!(
            letter.trace_id.as_deref(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        assert!(letter.parked_at.is_some());
    }

    /// Who drops what a list has named does not mean the letter that is third this time.
    #[test]
    fn a_letter_has_one_id_in_all_visits() {
        let id = |text: &'static str, tag| {
            let message = Message::new(text).with_header("dlq_reason", "sick");
            DeadLetter::new("jobs.dead", Position::Tag(tag), message).id
        };
        assert_eq!(id("one", 1), id("one", 2));
        assert_ne!(id("one", 1), id("other", 1));
        assert!(id("one", 1).starts_with("jobs.dead@"));
    }

    #[test]
    fn what_anybody_wrote_there_is_shown_too() {
        let message = Message::new("x").with_header("traceparent", "nonsense");
        let letter = DeadLetter::new("jobs.dead", Position::Row(3), message);
        assert_eq!(
            (letter.source.as_str(), letter.group, letter.trace_id),
            ("jobs", None, None)
        );
    }
}
