//! Handlers: what a consumer calls for each message, and what the result means.

use async_trait::async_trait;

use crate::Delivery;

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How often a handler may panic over one message before the message is parked.
///
/// A panic is a bug, and a bug stays: trying without end would block the partition for nothing. A few tries are left
/// for panics that came from a passing state.
pub const MAX_PANICS: u32 = 5;

/// Reacts to messages. The message is done when this returns `Ok`, and only then.
///
/// At least once: the same message may come again (a crash after the effect and before its
/// acknowledgement), so a handler is idempotent, usually by an inbox in its own transaction.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Makes the effect of one message.
    ///
    /// # Errors
    /// See [`HandlerError`]. A panic counts as a failure and is parked after [`MAX_PANICS`].
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError>;

    /// The most messages that [`handle_batch`](Self::handle_batch) wants at once. At 1, the default, it is
    /// never called.
    fn batch_max(&self) -> usize {
        1
    }

    /// Makes the effects of several messages of one partition, in their order: what a consumer that is
    /// behind does to catch up, because one transaction for fifty effects costs little more than for one.
    /// Only messages that are there already are put together; none waits for another to come.
    ///
    /// All of them are done when this returns `Ok`. When it fails for whatever reason, or panics, **each of them is
    /// handled again by [`handle`](Self::handle)** ([`failed_in_batch`](Delivery::failed_in_batch)), so that only the one at
    /// fault fails. A batch has to be what a
    /// handler has to be anyway: idempotent.
    ///
    /// # Errors
    /// See [`HandlerError`]; the kind makes no difference here.
    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        for delivery in batch {
            self.handle(delivery).await?;
        }
        Ok(())
    }
}

/// Why a handler did not handle a message, and so what becomes of it.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// It may pass (a database is away). Kafka: tried again in place without end, since the next message of the key
    /// must not overtake. Queue: delivered again after a delay, parked after the attempts are used up.
    #[error(transparent)]
    Transient(BoxError),
    /// It will not pass (unreadable, against the rules): parked at once with this reason.
    #[error(transparent)]
    Permanent(BoxError),
}

impl HandlerError {
    /// A failure that may pass: the message is tried again later.
    pub fn transient(error: impl Into<BoxError>) -> Self {
        Self::Transient(error.into())
    }

    /// A failure that stays: the message is parked.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self::Permanent(error.into())
    }
}
