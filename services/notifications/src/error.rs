//! The errors of jobs, and whether a retry helps.

use envelope::EnvelopeError;
use messaging::HandlerError;
use outbox::Failure;
use uuid::Uuid;

use crate::mailer::MailError;

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The message is not a CloudEvent, or not of the type that it declares.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The user is not known yet: events of different topics can overtake each other.
    #[error("nothing is known about user {0} yet")]
    UnknownRecipient(Uuid),
    /// Another worker is sending this mail, or died while it was sending it.
    #[error("another worker has claimed this mail")]
    Claimed,
    /// The mail was not accepted.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The database refused the statement, or was not reachable.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// Classifies the error. A fact that is late, or a mail server that is unreachable, is worth a retry; for the other
    /// errors [`Failure`] decides. `attempt` is the number of the failed try, from 1.
    pub(crate) fn into_handler_error(self, attempt: u32) -> HandlerError {
        match self {
            Self::UnknownRecipient(_) | Self::Claimed => HandlerError::transient(self),
            Self::Mail(error) if error.may_pass() => HandlerError::transient(error),
            Self::Mail(error) => HandlerError::permanent(error),
            Self::Envelope(error) => Failure::from(error).into_handler_error(attempt),
            Self::Database(error) => Failure::from(error).into_handler_error(attempt),
        }
    }
}
