//! A message as AMQP properties and back: see `docs/adr/0011-cloudevents-on-amqp.md`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};

use crate::Message;

/// The header that holds [`Message::key`]: AMQP has none of its own.
pub const KEY_HEADER: &str = "x-message-key";
/// How many failed attempts a copy in a retry queue has had.
const ATTEMPTS_HEADER: &str = "x-attempts";
/// When a message was published, in milliseconds since 1970: the property for it has whole seconds.
const SENT_AT_HEADER: &str = "x-sent-at-ms";
/// How often a quorum queue got the message back without an acknowledgement.
const RETURNS_HEADER: &str = "x-delivery-count";
/// The header that is a property of AMQP, too.
const CONTENT_TYPE: &str = "content-type";
/// Headers that the broker adds; they are not part of the message.
const BROKER_HEADERS: [&str; 9] = [
    RETURNS_HEADER,
    "x-acquired-count",
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
];

/// The most bytes that all headers and the key may have together: they travel in one frame, and one that is larger
/// than the protocol's default of 128 KiB ends the connection. The rest is room for what a dead letter adds.
pub const HEADERS_MAX_BYTES: usize = 64 * 1024;
/// The longest name of a header, in bytes: a short string of AMQP.
const HEADER_NAME_MAX_BYTES: usize = 255;
const PERSISTENT: u8 = 2;

/// What came out of a queue.
pub(super) struct Received {
    pub(super) message: Message,
    /// Which attempt this is, from 1. The earlier ones failed or were not acknowledged.
    pub(super) attempt: u32,
    pub(super) sent_at: Option<SystemTime>,
}

/// Checks that AMQP can carry the message; the error says why not.
pub(super) fn check(message: &Message) -> Result<(), String> {
    let mut bytes = message.key.as_ref().map_or(0, String::len);
    for (name, value) in &message.headers {
        if name.len() > HEADER_NAME_MAX_BYTES {
            return Err(format!(
                "the name of a header has {} bytes, {HEADER_NAME_MAX_BYTES} are allowed",
                name.len()
            ));
        }
        bytes += name.len() + value.len();
    }
    if bytes > HEADERS_MAX_BYTES {
        return Err(format!(
            "the headers have {bytes} bytes, {HEADERS_MAX_BYTES} are allowed"
        ));
    }
    Ok(())
}

/// The properties of a persistent message. `attempts` counts the failed ones, 0 for a new message.
pub(super) fn properties(message: &Message, attempts: u32) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, _) in &message.headers {
        if let Ok(key) = ShortString::try_new(name.as_str())
            && !table.contains_key(name)
        {
            table.insert(key, values(message, name));
        }
    }
    if let Some(key) = &message.key {
        table.insert(KEY_HEADER.into(), text(key));
    }
    if attempts > 0 {
        table.insert(ATTEMPTS_HEADER.into(), AMQPValue::LongUInt(attempts));
    }
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_headers(table);
    let content_type = message.header(CONTENT_TYPE);
    match content_type.and_then(|value| ShortString::try_new(value).ok()) {
        Some(content_type) => properties.with_content_type(content_type),
        None => properties,
    }
}

/// The properties of a message that is published now.
pub(super) fn stamped(message: &Message) -> BasicProperties {
    with_sent_at(properties(message, 0), SystemTime::now())
}

/// The properties of a message that goes back as if it had not been delivered.
pub(super) fn untried(received: &Received) -> BasicProperties {
    let properties = properties(&received.message, received.attempt.saturating_sub(1));
    match received.sent_at {
        Some(sent_at) => with_sent_at(properties, sent_at),
        None => properties,
    }
}

fn with_sent_at(properties: BasicProperties, sent_at: SystemTime) -> BasicProperties {
    let mut table = properties.headers().clone().unwrap_or_default();
    let since = sent_at.duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    table.insert(SENT_AT_HEADER.into(), AMQPValue::LongLongInt(ms));
    properties.with_headers(table)
}

/// One value, or an array of all of them: a table of AMQP has each name once.
fn values(message: &Message, name: &str) -> AMQPValue {
    let same = message.headers.iter().filter(|(other, _)| other == name);
    let mut values: Vec<_> = same.map(|(_, value)| text(value)).collect();
    if values.len() > 1 {
        return AMQPValue::FieldArray(FieldArray::from(values));
    }
    values.pop().unwrap_or(AMQPValue::Void)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// Reads what anybody may have published: a header that is not text is dropped.
pub(super) fn received(properties: &BasicProperties, body: Vec<u8>) -> Received {
    let mut message = Message::new(Bytes::from(body));
    let (mut failed, mut returned, mut sent_at) = (0, 0, 0);
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        match name.as_str() {
            KEY_HEADER => message.key = texts(value).pop(),
            ATTEMPTS_HEADER => failed = number(value),
            RETURNS_HEADER => returned = number(value),
            SENT_AT_HEADER => sent_at = whole(value),
            name if BROKER_HEADERS.contains(&name) => {}
            name => {
                let values = texts(value).into_iter();
                message
                    .headers
                    .extend(values.map(|value| (name.to_owned(), value)));
            }
        }
    }
    // Other clients state it as a property only.
    if message.header(CONTENT_TYPE).is_none()
        && let Some(content_type) = properties.content_type()
    {
        let header = (CONTENT_TYPE.to_owned(), content_type.to_string());
        message.headers.push(header);
    }
    Received {
        message,
        attempt: 1_u32.saturating_add(failed).saturating_add(returned),
        sent_at: u64::try_from(sent_at)
            .ok()
            .filter(|ms| *ms > 0)
            .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
    }
}

fn texts(value: &AMQPValue) -> Vec<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec())
            .into_iter()
            .collect(),
        AMQPValue::ShortString(text) => vec![text.to_string()],
        AMQPValue::FieldArray(array) => array.as_slice().iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn number(value: &AMQPValue) -> u32 {
    u32::try_from(whole(value).max(0)).unwrap_or(u32::MAX)
}

/// Brokers and clients differ in the width they choose for a number.
fn whole(value: &AMQPValue) -> i64 {
    match *value {
        AMQPValue::LongLongInt(n) => n,
        AMQPValue::LongUInt(n) => i64::from(n),
        AMQPValue::LongInt(n) => i64::from(n),
        AMQPValue::ShortUInt(n) => i64::from(n),
        AMQPValue::ShortInt(n) => i64::from(n),
        AMQPValue::ShortShortUInt(n) => i64::from(n),
        AMQPValue::ShortShortInt(n) => i64::from(n),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(message: &Message, attempts: u32) -> Received {
        received(&properties(message, attempts), message.payload.to_vec())
    }

    #[test]
    fn a_message_survives_and_repeated_headers_keep_their_order() {
        let message = Message::new("body")
            .with_key("käy")
            .with_header("a", "2")
            .with_header("a", "1")
            .with_header("b", "");
        let received = through(&message, 0);
        assert_eq!(received.message, message);
        assert_eq!(received.attempt, 1);
        assert_eq!(through(&message, 3).attempt, 4);
        assert_eq!(through(&message, 3).message, message);
    }

    #[test]
    fn the_time_of_publishing_is_beside_the_message() {
        let message = Message::new("body").with_header("a", "1");
        let begun = SystemTime::now() - Duration::from_millis(1);
        let received = received(&stamped(&message), message.payload.to_vec());
        assert_eq!(received.message, message);
        let sent_at = received.sent_at.unwrap();
        assert!(sent_at >= begun && sent_at <= SystemTime::now());
        assert_eq!(through(&message, 1).sent_at, None, "a copy for a retry");
    }

    #[test]
    fn what_goes_back_untried_is_as_it_was() {
        let message = Message::new("body").with_key("k").with_header("a", "1");
        for attempts in [0, 3] {
            let properties = match attempts {
                0 => stamped(&message),
                failed => properties(&message, failed),
            };
            let first = received(&properties, message.payload.to_vec());
            let second = received(&untried(&first), message.payload.to_vec());
            assert_eq!(second.message, message);
            assert_eq!(second.attempt, attempts + 1);
            assert_eq!(second.sent_at, first.sent_at);
        }
    }

    #[test]
    fn what_the_broker_adds_is_not_part_of_the_message() {
        let mut table = FieldTable::default();
        for name in BROKER_HEADERS {
            table.insert(name.into(), AMQPValue::LongLongInt(2));
        }
        table.insert("strange".into(), AMQPValue::Boolean(true));
        let properties = BasicProperties::default().with_headers(table);
        let received = received(&properties, Vec::new());
        assert_eq!(received.message, Message::default());
        assert_eq!(received.attempt, 3);
    }

    #[test]
    fn the_content_type_of_another_client_is_read() {
        let properties = BasicProperties::default().with_content_type("text/plain".into());
        let message = received(&properties, Vec::new()).message;
        assert_eq!(
            message.headers,
            [(CONTENT_TYPE.into(), "text/plain".into())]
        );
        let message = Message::new("").with_header(CONTENT_TYPE, "text/plain");
        assert_eq!(through(&message, 0).message, message, "and ours not twice");
    }

    #[test]
    fn headers_have_a_limit() {
        let small = Message::new("").with_header("h", "x".repeat(HEADERS_MAX_BYTES - 1));
        assert_eq!(check(&small), Ok(()));
        assert!(check(&small.with_key("k")).is_err());
        assert!(check(&Message::new("").with_header("n".repeat(256), "")).is_err());
    }
}
