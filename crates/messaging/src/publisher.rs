//! Publishing: the trait, and a publisher that chooses between two others by the kind of the destination.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Destination, Message};

/// Sends messages and waits for the broker's acknowledgement.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Sends `message` and returns once the broker has stored it durably.
    ///
    /// Waits while the publisher's own queue is full; it never drops. An error does not prove that
    /// the message is absent (the answer may have been lost), so consumers are idempotent.
    ///
    /// # Errors
    /// See [`PublishError`]; which of the two it is decides whether trying again makes sense.
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError>;

    /// The engine that messages to `to` go to, as OpenTelemetry names it (`messaging.system`), and as consumers find it in
    /// [`Delivery::system`](crate::Delivery::system). Empty where nobody should be told.
    fn system(&self, _to: &Destination) -> &'static str {
        ""
    }

    /// Hears that nothing waits to be sent any more, whoever has sent it: what failed here last tells nothing from then on. For
    /// publishers that report how they are doing.
    fn nothing_waits(&self) {}
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker cannot be reached or did not answer in time: try again later.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// This message can never be sent as it is: no such topic or queue, or nothing that the engine can store.
    #[error("the message was rejected: {0}")]
    Rejected(String),
    /// This message can never be sent as it is: it is larger than the broker or this crate allows.
    #[error("the message is too large: {0}")]
    TooLarge(String),
}

/// Sends topics to one publisher, queues and exchanges to another: an outbox has one way out.
#[derive(Clone)]
pub struct Router {
    topics: Arc<dyn Publisher>,
    queues: Option<Arc<dyn Publisher>>,
}

impl Router {
    /// Topics go to the first, queues and exchanges to the second.
    #[must_use]
    pub fn new(topics: Arc<dyn Publisher>, queues: Arc<dyn Publisher>) -> Self {
        Self {
            topics,
            queues: Some(queues),
        }
    }

    /// For a service that has no queue: a message for one is [`PublishError::Rejected`].
    #[must_use]
    pub fn topics_only(topics: Arc<dyn Publisher>) -> Self {
        Self {
            topics,
            queues: None,
        }
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("queues", &self.queues.is_some())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Publisher for Router {
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        match (to, &self.queues) {
            (Destination::Topic(_), _) => self.topics.publish(to, message).await,
            (_, Some(queues)) => queues.publish(to, message).await,
            (_, None) => Err(PublishError::Rejected(format!(
                "{to}: no queue is configured here, only topics"
            ))),
        }
    }

    fn system(&self, to: &Destination) -> &'static str {
        match (to, &self.queues) {
            (Destination::Topic(_), _) => self.topics.system(to),
            (_, Some(queues)) => queues.system(to),
            (_, None) => "",
        }
    }

    fn nothing_waits(&self) {
        self.topics.nothing_waits();
        if let Some(queues) = &self.queues {
            queues.nothing_waits();
        }
    }
}
