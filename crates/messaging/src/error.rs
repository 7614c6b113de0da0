//! What can go wrong outside of a single message.

/// An error of setting up or running a publisher, a consumer or a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessagingError {
    /// The client does not accept its configuration.
    #[error("the messaging client cannot be configured: {0}")]
    Config(String),
    /// The broker or the database cannot be reached; trying again later may work.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// The name is empty, too long or of a reserved form, or the queue was never declared.
    #[error("{0}")]
    Name(String),
    /// The database refused a statement.
    #[cfg(feature = "postgres")]
    #[error("the queue's database refused: {0}")]
    Database(#[from] sqlx::Error),
}
