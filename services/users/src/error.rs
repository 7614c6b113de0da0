//! What can go wrong, and what the caller hears of it.

use std::time::Duration;

use chassis::{db, grpc};
use client::CallError;
use outbox::OutboxError;
use tonic::{Code, Status};

use crate::{budgets::Spent, domain::Violation, keys::KeyError, passwords::HashError};

/// When to try again after something this service needs was away or busy.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request says nothing that could be carried out; all of what is wrong with it.
    #[error("the request is invalid")]
    Invalid(Vec<Violation>),
    /// There is no such user, or the caller may not know.
    #[error("there is no such user")]
    NotFound,
    /// Only admins may do this.
    #[error("this is for admins only")]
    NotAdmin,
    /// Another account has this email.
    #[error("this email is taken")]
    EmailTaken,
    /// No account has this email and this password.
    #[error("the email or the password is wrong")]
    BadCredentials,
    /// Whoever asks has been wrong too often.
    #[error("too many attempts: try again later")]
    Spent(Spent),
    /// Too many passwords are being hashed.
    #[error("too many sign-ins at once")]
    Busy,
    /// A password could not be hashed.
    #[error(transparent)]
    Hash(HashError),
    /// A token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An event could not be written.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The orders service did not answer within the time that our caller had left.
    #[error("the orders service did not answer in the time that was left")]
    Late,
    /// The orders service.
    #[error("orders: {0}")]
    Orders(#[from] CallError),
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            error => Self::Hash(error),
        }
    }
}

impl From<Spent> for Error {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

impl Error {
    /// The database's error in it, wherever it came up.
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) | Self::Key(KeyError::Database(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether it may heal by itself.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Orders(error) => error.is_unavailable(),
            error => error.database().is_some_and(db::is_unavailable),
        }
    }
}

/// The one place where an error meets a caller: what concerns them is said, everything else is logged here,
/// once, and not told.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let said = error.to_string();
        match &error {
            Error::Invalid(violations) => grpc::invalid(
                violations
                    .iter()
                    .map(|violation| (violation.field, violation.description)),
            ),
            Error::NotFound => Self::not_found(said),
            Error::NotAdmin => Self::permission_denied(said),
            Error::EmailTaken => Self::already_exists(said),
            Error::BadCredentials => Self::unauthenticated(said),
            Error::Spent(spent) => grpc::exhausted(said, (*spent).into()),
            // Who floods waits for themselves, and is sent away first: no reason to take this instance out.
            Error::Busy => grpc::unrepeatable(grpc::unavailable(said, RETRY_AFTER)),
            error if error.is_unavailable() => {
                // An outage is logged once, by readiness or by the breaker of the peer.
                tracing::debug!(%error, "a call could not be answered for the time being");
                grpc::unavailable("something that this needs is away", RETRY_AFTER)
            }
            // Nobody failed: the caller was in a hurry.
            Error::Late => Self::deadline_exceeded(said),
            // An answer that cannot be read is a fault of orders, and no reason to cut us off.
            Error::Orders(CallError::Decode { .. }) => {
                tracing::error!(%error, "a call failed");
                grpc::unavailable("something that this needs is broken", RETRY_AFTER)
            }
            // The token was good a moment ago, here.
            Error::Orders(CallError::Problem(problem)) if problem.status == 401 => {
                Self::unauthenticated("the token has expired")
            }
            // What the caller gave does not fit into a request to orders: nobody was asked, and nobody failed.
            Error::Orders(CallError::Unsendable { detail, .. }) => {
                tracing::debug!(detail, "a request to orders cannot be written");
                Self::invalid_argument("the request cannot be passed on")
            }
            error => {
                tracing::error!(%error, "a call failed");
                Self::new(Code::Internal, "something went wrong here")
            }
        }
    }
}
