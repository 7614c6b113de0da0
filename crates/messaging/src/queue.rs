//! The work queue as a trait: the PostgreSQL queue is one implementation, a broker another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

#[cfg(any(feature = "kafka", feature = "_queue"))]
use crate::dead_letters::DeadLetterStore;
#[cfg(feature = "_queue")]
use crate::{Destination, Message, PublishError, names};
use crate::{Handler, MessagingError, Publisher, Status};

/// The longest payload, in bytes. Work that needs more should name where its data lies.
pub const PAYLOAD_MAX_BYTES: usize = 1024 * 1024;

/// Refuses what no engine of a queue takes: a topic, a name that is not allowed, a payload that is too long.
#[cfg(feature = "_queue")]
pub(crate) fn check(to: &Destination, message: &Message) -> Result<(), PublishError> {
    let refuse = |detail: String| Err(PublishError::Rejected(format!("{to}: {detail}")));
    if let Destination::Topic(_) = to {
        return refuse("the queue has no topics".into());
    }
    if let Err(error) = names::check(to.name()) {
        return refuse(error.to_string());
    }
    match message.payload.len() {
        0..=PAYLOAD_MAX_BYTES => Ok(()),
        bytes => Err(PublishError::TooLarge(format!(
            "{to}: {bytes} bytes, {PAYLOAD_MAX_BYTES} are allowed"
        ))),
    }
}

/// No queue took the message. A queue that was never declared is a mistake in the name, so the message
/// is rejected. An exchange to which nobody is bound waits for its first subscriber: to accept the
/// message and drop it, as AMQP does by default, would lose what was published while that one started
/// for the first time.
#[cfg(feature = "_queue")]
pub(crate) fn unroutable(to: &Destination) -> PublishError {
    match to {
        Destination::Exchange(_) => {
            PublishError::Unavailable(format!("{to}: no queue is bound to it yet"))
        }
        _ => PublishError::Rejected(format!("{to}: the queue was not declared")),
    }
}

/// How a queue is consumed.
#[derive(Debug, Clone)]
pub struct ConsumeOptions {
    /// Messages that are handled at the same time by this consumer. At least 1.
    pub concurrency: usize,
    /// How long a message is hidden from other consumers. While a handler runs, its lease is
    /// extended; so this is the time until the work of a consumer that died is done by another.
    /// RabbitMQ knows sooner: it gives a message back when the consumer's connection ends.
    pub visibility: Duration,
    /// Tries before a message that keeps failing is parked.
    pub max_attempts: u32,
    /// The delay before the second try; each further one is longer, up to `backoff_cap`, with
    /// jitter.
    pub backoff: Duration,
    /// The longest delay between two tries.
    pub backoff_cap: Duration,
    /// How often to poll without a wake-up: messages of other processes and delays that ran out are found within this
    /// time. RabbitMQ pushes and is not polled.
    pub poll: Duration,
    /// How long messages in progress may take to finish once shutdown began. What is not done by then is released and
    /// delivered again.
    pub drain: Duration,
    /// Told of the queue's dead letters: down while there are any, with how many.
    pub dead_letters: Status,
}

impl Default for ConsumeOptions {
    fn default() -> Self {
        Self {
            concurrency: 8,
            visibility: Duration::from_secs(30),
            max_attempts: 8,
            backoff: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(60),
            poll: Duration::from_millis(500),
            drain: Duration::from_secs(3),
            dead_letters: Status::ignore(),
        }
    }
}

/// A durable work queue with competing consumers, and fanout exchanges in front of it.
///
/// Order is not promised: work that must be done in order belongs on a stream.
#[async_trait]
pub trait Queue: Publisher {
    /// Makes what the engine itself needs, unless it is there: tables in PostgreSQL; on a broker
    /// nothing, and this only shows that it can be reached.
    ///
    /// # Errors
    /// The engine's.
    async fn install(&self) -> Result<(), MessagingError>;

    /// Creates a queue and its dead-letter queue, unless they are there.
    ///
    /// # Errors
    /// [`MessagingError::Name`] for a name that is not allowed, else the engine's.
    async fn declare(&self, queue: &str) -> Result<(), MessagingError>;

    /// Lets `queue` have a copy of what is published to `exchange` from now on.
    ///
    /// # Errors
    /// [`MessagingError::Name`] when the queue was not declared, else the engine's.
    async fn bind(&self, exchange: &str, queue: &str) -> Result<(), MessagingError>;

    /// The dead letters of these queues, by the queues' own names.
    #[cfg(any(feature = "kafka", feature = "_queue"))]
    fn dead_letters(&self, queues: &[String]) -> Box<dyn DeadLetterStore>;

    /// Handles messages of `queue` until `shutdown`, then finishes those in hand.
    ///
    /// An engine that is away is waited for and reported to `status`; it does not end this.
    ///
    /// # Errors
    /// Only what waiting cannot change: [`MessagingError::Name`] for a name that is not allowed.
    async fn consume(
        &self,
        queue: &str,
        options: ConsumeOptions,
        handler: Arc<dyn Handler>,
        status: Status,
        shutdown: CancellationToken,
    ) -> Result<(), MessagingError>;
}
