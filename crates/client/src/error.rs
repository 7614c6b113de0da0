//! Why a call failed.

use std::sync::Arc;
use std::time::Duration;

use tonic_types::{ErrorDetails, StatusExt};

use crate::ProblemBody;

/// Why a call to another service failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The peer could not be reached, closed the connection, or has no free connection. Whether it did the work is
    /// unknown, unless `detail` says that no connection was established.
    #[error("{peer} is unavailable: {detail}")]
    Unavailable {
        /// The peer's name.
        peer: String,
        /// What happened; for logs, not for the outside.
        detail: String,
    },
    /// The call was not made, to protect the peer or ourselves: its circuit breaker is open, or the limit of calls to
    /// it is reached.
    #[error("{peer} is not called: {detail}")]
    Rejected {
        /// The peer's name.
        peer: String,
        /// Which of the two.
        detail: String,
        /// Earlier retries are pointless.
        retry_after: Duration,
    },
    /// The peer did not answer in time. Whether it did the work is unknown.
    #[error("{peer} did not answer in time")]
    Timeout {
        /// The peer's name.
        peer: String,
    },
    /// The request's own body ended with an error while it was sent: the fault of its source, not of the peer.
    #[error("the body of the request to {peer} broke off: {detail}")]
    Aborted {
        /// The peer's name.
        peer: String,
        /// Why.
        detail: String,
    },
    /// The request's own body did not arrive in time: the fault of its source, not of the peer.
    #[error("the body of the request to {peer} did not come in time")]
    Stalled {
        /// The peer's name.
        peer: String,
    },
    /// The caller's request cannot be written: a URI that is too long, or a header with bytes that are not allowed. The
    /// peer was not called.
    #[error("the request to {peer} cannot be written: {detail}")]
    Unsendable {
        /// The peer's name.
        peer: String,
        /// Which part is invalid.
        detail: String,
    },
    /// The peer answered over HTTP with an error.
    #[error("the peer answered {} {}: {}", .0.status, .0.title, .0.detail.as_deref().unwrap_or_default())]
    Problem(Box<ProblemBody>),
    /// The peer answered over gRPC with an error.
    #[error("the peer answered {:?}: {}", .0.code(), .0.message())]
    Status(Box<tonic::Status>),
    /// The answer does not follow the contract: a fault of the peer that a retry does not mend.
    #[error("the answer of {peer} cannot be read: {detail}")]
    Decode {
        /// The peer's name.
        peer: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl CallError {
    /// Converts a gRPC status: an unreachable or late peer becomes the same error as over HTTP.
    #[must_use]
    pub fn from_status(peer: &str, status: tonic::Status) -> Self {
        // A status that our own channel made carries the original error as its source.
        let own = std::error::Error::source(&status).and_then(|source| source.downcast_ref());
        if let Some(own) = own {
            return Self::clone(own);
        }
        let says_when = status.get_details_retry_info().is_some();
        match status.code() {
            // The peer is reachable, and its retry delay must be kept: `retry_after`.
            tonic::Code::Unavailable if says_when => Self::Status(Box::new(status)),
            tonic::Code::Unavailable => Self::unavailable(peer, status.message()),
            tonic::Code::DeadlineExceeded => Self::Timeout {
                peer: peer.to_owned(),
            },
            _ => Self::Status(Box::new(status)),
        }
    }

    /// Converts the error to a gRPC status, with a retry delay if one is known.
    pub(crate) fn into_status(self) -> tonic::Status {
        let text = self.to_string();
        let mut status = match &self {
            Self::Unavailable { .. } => tonic::Status::unavailable(text),
            Self::Rejected { retry_after, .. } => {
                let mut details = ErrorDetails::new();
                details.set_retry_info(Some(*retry_after));
                tonic::Status::with_error_details(tonic::Code::Unavailable, text, details)
            }
            Self::Timeout { .. } => tonic::Status::deadline_exceeded(text),
            Self::Aborted { .. } | Self::Stalled { .. } => tonic::Status::cancelled(text),
            Self::Unsendable { .. } => tonic::Status::invalid_argument(text),
            _ => tonic::Status::internal(text),
        };
        status.set_source(Arc::new(self));
        status
    }

    /// How long to wait before the same call may succeed, if the peer or its breaker said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected { retry_after, .. } => Some(*retry_after),
            Self::Problem(problem) => problem.retry_after,
            Self::Status(status) => status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay),
            _ => None,
        }
    }

    pub(crate) fn unavailable(peer: &str, detail: impl ToString) -> Self {
        Self::Unavailable {
            peer: peer.to_owned(),
            detail: detail.to_string(),
        }
    }

    pub(crate) fn unsendable(peer: &str, detail: impl ToString) -> Self {
        Self::Unsendable {
            peer: peer.to_owned(),
            detail: detail.to_string(),
        }
    }

    pub(crate) fn decode(peer: &str, detail: impl ToString) -> Self {
        Self::Decode {
            peer: peer.to_owned(),
            detail: detail.to_string(),
        }
    }

    /// Whether the peer was unreachable, late or overloaded, so that the same call may succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Rejected { .. } | Self::Timeout { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::Status(status) => matches!(
                status.code(),
                tonic::Code::Unavailable
                    | tonic::Code::DeadlineExceeded
                    | tonic::Code::ResourceExhausted
            ),
            Self::Decode { .. }
            | Self::Aborted { .. }
            | Self::Stalled { .. }
            | Self::Unsendable { .. } => false,
        }
    }

    /// Whether the peer answered that the resource does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status == 404,
            Self::Status(status) => status.code() == tonic::Code::NotFound,
            _ => false,
        }
    }
}

impl From<tonic::Status> for CallError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// Returns the innermost cause, which says more than "client error (Connect)".
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
