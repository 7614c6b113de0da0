//! The errors of the service, and how each door reports them.

use std::time::Duration;

use chassis::page::PageError;
use chassis::problem::Problem;
use chassis::{db, grpc};
use thiserror::Error;
use tonic::Status;

use crate::domain::BadSearch;

/// The retry delay while the database is unavailable: about as long as a restart of it takes.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a request could not be served.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// The search is invalid.
    #[error(transparent)]
    Search(#[from] BadSearch),
    /// The page size or the page token is invalid.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The page token belongs to another search.
    #[error("page_token belongs to another search: leave it out to start at the first page")]
    OtherSearch,
    /// The start of the page is given twice, or is not an id.
    #[error("after must be the id of a product, and stand without page_token")]
    BadAfter,
    /// The database refused, or was not reached.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Page(error) => error.into(),
            Error::Search(_) | Error::OtherSearch | Error::BadAfter => {
                Self::bad_request(error.to_string())
            }
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
            // Logged once, here, and reported without detail.
            other => {
                tracing::error!(error = %other, "call failed");
                Self::internal("internal error")
            }
        }
    }
}
