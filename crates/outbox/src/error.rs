//! The errors of storing an event in the outbox.

/// Why an event was not told. The caller's transaction should be rolled back: a change whose event is missing is exactly
/// what an outbox exists to prevent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// The event is larger than any broker behind the relay is sure to take. Refused here, where
    /// somebody can still be told, because in the relay it would hold up its aggregate for ever.
    #[error(
        "the event has {actual} bytes, the limit is {limit}: send a reference to large data, not the data"
    )]
    TooLarge {
        /// Bytes of payload, key and headers together.
        actual: usize,
        /// The limit, in bytes: [`crate::MAX_EVENT_BYTES`].
        limit: usize,
    },
    /// The event could not be written as a message.
    #[error("the event cannot be encoded: {0}")]
    Encode(#[from] envelope::EnvelopeError),
}
