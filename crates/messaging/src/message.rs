//! A message, where it goes, and how a handler gets it.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use bytes::Bytes;

/// A message as every broker carries it: an optional key, headers and bytes.
///
/// Headers are an ordered list, not a map: a name may occur more than once in Kafka and AMQP, and
/// a message that is passed on must leave as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Messages with the same key keep their order (Kafka: the partition is chosen by it).
    pub key: Option<String>,
    /// Names and values, as text. A header that is not UTF-8 is dropped when it is read from RabbitMQ; from Kafka it (like a key) is
    /// read with U+FFFD for the invalid bytes. So to forward or redrive such a message changes it. The body is never changed.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Bytes,
}

impl Message {
    /// A message without key and headers.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// The same message with a key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same message with one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Where a message goes. As text `topic:order-events`, `queue:email.jobs`, `exchange:user.created`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// A stream of facts: many may read it, any number of times, in order per key.
    Topic(String),
    /// A queue of work: one worker gets each message.
    Queue(String),
    /// A fanout exchange: each bound queue gets a copy.
    Exchange(String),
}

impl Destination {
    /// The name without its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Topic(name) | Self::Queue(name) | Self::Exchange(name) => name,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic:{name}"),
            Self::Queue(name) => write!(f, "queue:{name}"),
            Self::Exchange(name) => write!(f, "exchange:{name}"),
        }
    }
}

/// The text is not `topic:NAME`, `queue:NAME` or `exchange:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a destination: write topic:NAME, queue:NAME or exchange:NAME")]
pub struct ParseDestinationError(String);

impl FromStr for Destination {
    type Err = ParseDestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((_, "")) | None => Err(ParseDestinationError(text.to_owned())),
            Some(("topic", name)) => Ok(Self::Topic(name.to_owned())),
            Some(("queue", name)) => Ok(Self::Queue(name.to_owned())),
            Some(("exchange", name)) => Ok(Self::Exchange(name.to_owned())),
            Some(_) => Err(ParseDestinationError(text.to_owned())),
        }
    }
}

/// A message as a handler gets it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// What was published.
    pub message: Message,
    /// The topic or queue that it came from.
    pub source: String,
    /// Which try this is, from 1. Over Kafka a restart of the consumer counts from 1 again.
    pub attempt: u32,
    /// It was in a batch that failed, and may be what the batch failed for: this is the first try of it alone.
    pub failed_in_batch: bool,
    /// When it was published, as far as the engine tells.
    pub sent_at: Option<SystemTime>,
    /// The engine that it came through, as OpenTelemetry names it: `kafka`, `rabbitmq`, `postgresql`; empty if nobody said.
    pub system: &'static str,
    /// Where it is in its topic; `None` if it does not come from Kafka.
    #[cfg(feature = "kafka")]
    pub position: Option<crate::position::Position>,
}

impl Delivery {
    /// A message of `source`, handed to a handler for the `attempt`-th time.
    pub fn new(message: Message, source: impl Into<String>, attempt: u32) -> Self {
        Self {
            message,
            source: source.into(),
            attempt,
            failed_in_batch: false,
            sent_at: None,
            system: "",
            #[cfg(feature = "kafka")]
            position: None,
        }
    }

    /// The same with the time when it was published.
    #[must_use]
    pub fn with_sent_at(mut self, sent_at: Option<SystemTime>) -> Self {
        self.sent_at = sent_at;
        self
    }

    /// The same, through this engine.
    #[must_use]
    pub fn with_system(mut self, system: &'static str) -> Self {
        self.system = system;
        self
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.message.header(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_survive_the_way_through_text() {
        for destination in [
            Destination::Topic("order-events".into()),
            Destination::Queue("email.jobs".into()),
            Destination::Exchange("a:b".into()),
        ] {
            assert_eq!(destination.to_string().parse(), Ok(destination));
        }
    }

    #[test]
    fn what_is_not_a_destination_is_named() {
        for text in ["", "topic", "topic:", "stream:x", ":x"] {
            let error = text.parse::<Destination>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
