//! Why a request has no caller, and how routes that need one answer.

use std::time::Duration;

use axum::http::{Extensions, HeaderValue, header};

use super::AuthError;
use crate::grpc;
use crate::problem::Problem;

/// The retry delay after the keys were unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An extension of requests whose `Authorization` could not be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub AuthError);

impl Refused {
    /// Why there is no caller: the token is invalid, cannot be checked, or is missing.
    pub(super) fn why(extensions: &Extensions) -> AuthError {
        extensions
            .get::<Self>()
            .map_or(AuthError::Missing, |refused| refused.0.clone())
    }
}

/// The answer over HTTP.
impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        problem(&refused.0)
    }
}

pub(super) fn problem(error: &AuthError) -> Problem {
    match error {
        AuthError::KeysUnavailable => Problem::unavailable(RETRY_AFTER, error.to_string()),
        AuthError::Missing => Problem::unauthorized(),
        AuthError::Invalid => Problem::unauthorized()
            .with_detail(error.to_string())
            .with_header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer error=\"invalid_token\""),
            ),
    }
}

pub(super) fn status(error: &AuthError) -> tonic::Status {
    match error {
        AuthError::KeysUnavailable => grpc::unavailable(error.to_string(), RETRY_AFTER),
        AuthError::Missing | AuthError::Invalid => {
            tonic::Status::unauthenticated(error.to_string())
        }
    }
}
