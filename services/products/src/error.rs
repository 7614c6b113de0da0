//! What can go wrong, and what each door says about it.

use std::time::Duration;

use chassis::page::PageError;
use chassis::problem::Problem;
use chassis::{db, grpc};
use envelope::EnvelopeError;
use messaging::HandlerError;
use outbox::OutboxError;
use thiserror::Error;
use tonic::Status;

use crate::domain::{BadLines, BadSearch};
use crate::store::reservations::is_race;

/// When to try again while the database is away: about as long as a restart of it takes.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a request or an event could not be served.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// A search that nobody can have meant.
    #[error(transparent)]
    Search(#[from] BadSearch),
    /// There is no such page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A page token of another search.
    #[error("page_token belongs to another search: leave it out to start at the first page")]
    OtherSearch,
    /// The event is no CloudEvent, or not of the type that it says.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The lines of an order that are none.
    #[error(transparent)]
    Lines(#[from] BadLines),
    /// The answer could not be written down.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The database refused, or was not reached.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Page(error) => error.into(),
            Error::Search(_) | Error::OtherSearch => Self::bad_request(error.to_string()),
            Error::Database(e) if db::is_unavailable(&e) => {
                Self::unavailable(RETRY_AFTER, "the catalogue cannot be reached")
            }
            other => Self::internal(&other),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(error.to_string()),
            Error::Database(e) if db::is_unavailable(&e) => {
                grpc::unavailable("the catalogue cannot be reached", RETRY_AFTER)
            }
            // Once, here; the caller learns nothing of it.
            other => {
                tracing::error!(error = %other, "call failed");
                Self::internal("internal error")
            }
        }
    }
}

/// Which events are worth another try. Waiting repairs a database that is away; it repairs no event
/// that cannot be read and no row that the database refuses, and those must not hold up their
/// neighbours.
impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        let transient = match &error {
            Error::Database(e) | Error::Outbox(OutboxError::Database(e)) => {
                is_race(e) || !db::is_refusal(e)
            }
            _ => false,
        };
        if transient {
            Self::transient(error)
        } else {
            Self::permanent(error)
        }
    }
}
