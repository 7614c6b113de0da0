//! The errors of the service, and how they are reported to callers.

use std::time::Duration;

use chassis::{db, grpc};
use client::CallError;
use outbox::OutboxError;
use tonic::{Code, Status};

use crate::{budgets::Spent, domain::Violation, keys::KeyError, passwords::HashError};

/// The retry delay after a dependency was unavailable or busy.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is invalid; contains all its errors.
    #[error("the request is invalid")]
    Invalid(Vec<Violation>),
    /// There is no such user, or the caller may not know of it.
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
    /// The caller has failed too often.
    #[error("too many attempts: try again later")]
    Spent(Spent),
    /// Too many passwords are waiting to be hashed.
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
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The orders service did not answer within the caller's remaining time.
    #[error("the orders service did not answer in the time that was left")]
    Late,
    /// The call to the orders service failed.
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
    /// The database's error in it, if there is one, wherever it occurred.
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) | Self::Key(KeyError::Database(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether it may disappear by itself.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Orders(error) => error.is_unavailable(),
            error => error.database().is_some_and(db::is_unavailable),
        }
    }
}

/// The one place where errors are converted for callers: errors that concern the caller are reported, all others are
/// logged here, once, and reported without detail.
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
            // The load is limited per caller, and the busiest ones are refused first, so this is no reason to take the
            // instance out of rotation.
            Error::Busy => grpc::unrepeatable(grpc::unavailable(said, RETRY_AFTER)),
            error if error.is_unavailable() => {
                // An outage is logged once, by readiness or by the breaker of the peer.
                tracing::debug!(%error, "a call could not be answered for the time being");
                grpc::unavailable("something that this needs is away", RETRY_AFTER)
            }
            // No service failed; the caller's deadline was too short.
            Error::Late => Self::deadline_exceeded(said),
            // An invalid answer is a fault of orders, and no reason to open the caller's breaker for this service.
            Error::Orders(CallError::Decode { .. }) => {
                tracing::error!(%error, "a call failed");
                grpc::unavailable("something that this needs is broken", RETRY_AFTER)
            }
            // The token was valid when this service checked it, a moment ago.
            Error::Orders(CallError::Problem(problem)) if problem.status == 401 => {
                Self::unauthenticated("the token has expired")
            }
            // The caller's input does not fit into a request to orders: the service was not called, and nothing failed.
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
