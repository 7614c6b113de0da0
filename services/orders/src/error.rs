//! The errors of the service, and how they are reported to callers.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chassis::auth::{AuthError, Refused};
use chassis::http::streams::Full;
use chassis::page::PageError;
use chassis::problem::{FieldError, Problem};
use client::CallError;
use contracts::problems;
use http::StatusCode;
use outbox::OutboxError;
use tonic::Code;

use crate::domain::CannotCancel;

/// The retry delay while a dependency is unavailable: about as long as the detection of a failover takes.
const RETRY_AWAY: Duration = Duration::from_secs(2);

/// The retry delay while the first request with the same key is running.
const RETRY_RUNNING: Duration = Duration::from_secs(1);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The body is invalid.
    #[error("the order is not valid")]
    Invalid(Vec<FieldError>),
    /// No such order or user, or not one of the caller's: the answer is the same.
    #[error("not found")]
    NotFound,
    /// The order cannot be cancelled.
    #[error(transparent)]
    CannotCancel(#[from] CannotCancel),
    /// The page size or the page token is invalid.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A request for several users is invalid; the text says why.
    #[error("{0}")]
    Batch(&'static str),
    /// The header `Idempotency-Key` is invalid.
    #[error("Idempotency-Key must be given once, as 1 to 255 printable ASCII characters")]
    BadKey,
    /// The key belongs to another request.
    #[error("this Idempotency-Key was used for another order: use a new key for a new order")]
    KeyReused,
    /// A request with the same key has not been answered yet.
    #[error("a request with this Idempotency-Key is still running: send it again in a moment")]
    KeyRunning,
    /// The header `Last-Event-ID` is not a sequence.
    #[error(
        "Last-Event-ID must be given once, as the id of an event of this stream: a whole number"
    )]
    BadEventId,
    /// The limit of open event streams is reached.
    #[error(transparent)]
    Full(#[from] Full),
    /// The call for the prices failed.
    #[error("the catalogue: {0}")]
    Catalog(#[from] CallError),
    /// The catalogue's answer is inconsistent: a mistake of the catalogue or of this service.
    #[error("the catalogue's quote cannot be used: {0}")]
    BadQuote(&'static str),
    /// An event could not be written.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// An answer could not be written.
    #[error("the answer cannot be encoded: {0}")]
    Encode(serde_json::Error),
    /// The database failed.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// Whether a dependency is unavailable, late or overloaded. An outage is logged once, by readiness or by the peer's
    /// breaker, and not for each request.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            // It broke the call off, as one does that stops.
            Self::Catalog(CallError::Status(status)) if status.code() == Code::Cancelled => true,
            Self::Catalog(error) => error.is_unavailable(),
            Self::Database(error) => chassis::db::is_unavailable(error),
            _ => false,
        }
    }

    /// Whether a dependency is broken, or its answer cannot be used.
    fn is_of_a_broken_dependency(&self) -> bool {
        match self {
            Self::BadQuote(_) | Self::Catalog(CallError::Decode { .. }) => true,
            // tonic reports an answer that it cannot decode as INTERNAL, too.
            Self::Catalog(CallError::Status(status)) => matches!(
                status.code(),
                Code::Internal | Code::DataLoss | Code::Unknown | Code::Unimplemented
            ),
            _ => false,
        }
    }

    /// Whether the catalogue took the caller's token for invalid. This service accepted it a moment ago, so it has expired
    /// on the way: that is no fault of a service, and must not count as one.
    fn is_of_an_expired_token(&self) -> bool {
        matches!(self, Self::Catalog(CallError::Status(status)) if status.code() == Code::Unauthenticated)
    }

    /// 503 with a retry delay.
    fn away(&self) -> Problem {
        match self {
            Self::Catalog(error) => Problem::unavailable(
                error.retry_after().unwrap_or(RETRY_AWAY),
                "The catalogue cannot be reached; no order was placed. Try again in a moment.",
            ),
            // The commit may have succeeded before the connection broke, so the text does not say that no order was placed.
            _ => Problem::unavailable(
                RETRY_AWAY,
                "The database cannot be reached. Try again in a moment; with the same \
                 Idempotency-Key an order is not placed twice.",
            ),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.is_unavailable() {
            return self.away().into_response();
        }
        if self.is_of_a_broken_dependency() {
            // With a retry delay, so that the caller's breaker does not count it against this service (ADR 17).
            tracing::error!(error = %self, "the catalogue is broken");
            return Problem::from_status(StatusCode::BAD_GATEWAY)
                .with_detail("The catalogue's answer cannot be used; no order was placed.")
                .with_retry_after(RETRY_AWAY)
                .into_response();
        }
        if self.is_of_an_expired_token() {
            return Problem::from(Refused(AuthError::Invalid)).into_response();
        }
        match self {
            Self::Invalid(errors) => Problem::unprocessable(errors).into_response(),
            Self::NotFound => Problem::not_found().into_response(),
            Self::CannotCancel(why) => Problem::conflict(why.to_string()).into_response(),
            Self::Page(error) => Problem::from(error).into_response(),
            Self::BadKey | Self::BadEventId | Self::Batch(_) => {
                Problem::bad_request(self.to_string()).into_response()
            }
            Self::Full(full) => Problem::from(full).into_response(),
            Self::KeyReused => Problem::unprocessable(Vec::new())
                .with_kind(problems::IDEMPOTENCY_KEY_REUSED)
                .with_detail(self.to_string())
                .into_response(),
            Self::KeyRunning => Problem::conflict(self.to_string())
                .with_kind(problems::IDEMPOTENCY_KEY_RUNNING)
                .with_retry_after(RETRY_RUNNING)
                .into_response(),
            error => Problem::internal(&error).into_response(),
        }
    }
}
