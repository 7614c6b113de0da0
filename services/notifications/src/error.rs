//! What can go wrong, and whether trying again helps.

use envelope::EnvelopeError;
use messaging::HandlerError;
use outbox::Failure;
use uuid::Uuid;

use crate::mailer::MailError;

/// Why a job could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is no CloudEvent, or not of the type that it says.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Nobody told us yet who the user is: events of different topics overtake each other.
    #[error("nothing is known about user {0} yet")]
    UnknownRecipient(Uuid),
    /// Another worker is sending this mail, or died while it was.
    #[error("another worker has claimed this mail")]
    Claimed,
    /// The mail was not taken.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The database refused, or was not reached.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// Waiting brings a fact that is late and repairs a mail server that is away; whether it repairs the rest is
    /// [`Failure`]'s to say. `attempt`: which try failed, from 1.
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
