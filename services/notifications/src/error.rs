//! What can go wrong, and whether trying again helps.

use chassis::db;
use envelope::EnvelopeError;
use messaging::HandlerError;
use outbox::OutboxError;
use uuid::Uuid;

use crate::mailer::MailError;

/// Why an event or a job could not be handled.
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
    /// The job could not be written down.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The database refused, or was not reached.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Waiting repairs a server that is away and brings facts that are late; it repairs nothing that cannot
/// be read or that is refused for what it is, and that must not hold up its neighbours.
impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        let transient = match &error {
            Error::Envelope(_) => false,
            Error::UnknownRecipient(_) | Error::Claimed => true,
            Error::Mail(error) => error.may_pass(),
            Error::Outbox(OutboxError::Database(error)) | Error::Database(error) => {
                !db::is_refusal(error)
            }
            Error::Outbox(_) => false,
        };
        if transient {
            Self::transient(error)
        } else {
            Self::permanent(error)
        }
    }
}
