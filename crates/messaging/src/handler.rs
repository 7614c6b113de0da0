//! The way out: what a consumer calls for each message, and what its answer means.

use async_trait::async_trait;

use crate::Delivery;

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How often a handler may panic over one message before the message is parked.
///
/// A panic is a bug, and a bug does not heal by itself: trying without end would block the
/// partition for nothing. A few tries are left for panics that came from a passing state.
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
}

/// How a handler says no.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// Time may heal it (a database is away). Kafka: tried again in place without end, since the
    /// next message of the key must not overtake. Queue: delivered again after a delay, parked
    /// after the attempts are used up.
    #[error(transparent)]
    Transient(BoxError),
    /// Time will not heal it (unreadable, against the rules): parked at once with this reason.
    #[error(transparent)]
    Permanent(BoxError),
}

impl HandlerError {
    /// Try again later.
    pub fn transient(error: impl Into<BoxError>) -> Self {
        Self::Transient(error.into())
    }

    /// Park it.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self::Permanent(error.into())
    }
}
