//! Why a call failed.

use crate::ProblemBody;

/// Why a call to another service failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The peer could not be reached, broke off, or has no free connection. Whether it did the work is
    /// unknown unless `detail` says that no connection came about.
    #[error("{peer} is unavailable: {detail}")]
    Unavailable {
        /// The peer's name.
        peer: String,
        /// What happened; for logs, not for the outside.
        detail: String,
    },
    /// The peer did not answer in time. Whether it did the work is unknown.
    #[error("{peer} did not answer in time")]
    Timeout {
        /// The peer's name.
        peer: String,
    },
    /// The request's own body broke off on its way out: the fault of whoever wrote it, not of the peer.
    #[error("the body of the request to {peer} broke off: {detail}")]
    Aborted {
        /// The peer's name.
        peer: String,
        /// Why.
        detail: String,
    },
    /// The peer answered over HTTP with an error.
    #[error("the peer answered {} {}: {}", .0.status, .0.title, .0.detail.as_deref().unwrap_or_default())]
    Problem(Box<ProblemBody>),
    /// The peer answered over gRPC with an error.
    #[error("the peer answered {:?}: {}", .0.code(), .0.message())]
    Status(Box<tonic::Status>),
    /// The request does not serialise, or the answer is not what was agreed: a fault of ours or the
    /// peer's, which no retry heals.
    #[error("{peer} and we disagree about the wire: {detail}")]
    Decode {
        /// The peer's name.
        peer: String,
        /// What does not fit.
        detail: String,
    },
}

impl CallError {
    /// Sorts out a gRPC status: a peer that is away or late is the same as over HTTP.
    #[must_use]
    pub fn from_status(peer: &str, status: tonic::Status) -> Self {
        match status.code() {
            tonic::Code::Unavailable => Self::unavailable(peer, status.message()),
            tonic::Code::DeadlineExceeded => Self::Timeout {
                peer: peer.to_owned(),
            },
            _ => Self::Status(Box::new(status)),
        }
    }

    pub(crate) fn unavailable(peer: &str, detail: impl ToString) -> Self {
        Self::Unavailable {
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

    /// Whether the peer was away, late or overloaded, so that the same call may succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Timeout { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::Status(status) => matches!(
                status.code(),
                tonic::Code::Unavailable
                    | tonic::Code::DeadlineExceeded
                    | tonic::Code::ResourceExhausted
            ),
            Self::Decode { .. } | Self::Aborted { .. } => false,
        }
    }

    /// Whether the peer says that the thing does not exist.
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

/// The innermost cause, which says more than "client error (Connect)".
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
