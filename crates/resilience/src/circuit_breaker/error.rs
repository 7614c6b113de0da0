//! The error of a call behind a breaker.

use std::fmt;
use std::time::Duration;

use super::Rejected;

/// The error of a call behind a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitBreakerError<E> {
    /// The call itself failed.
    Inner(E),
    /// The call was not made.
    Open {
        /// Earlier retries are pointless; see [`Rejected`].
        retry_after: Duration,
    },
}

impl<E> From<Rejected> for CircuitBreakerError<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Open {
            retry_after: rejected.retry_after,
        }
    }
}

impl<E: fmt::Display> fmt::Display for CircuitBreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Inner(ref error) => error.fmt(f),
            Self::Open { retry_after } => Rejected { retry_after }.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for CircuitBreakerError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Displayed as the inner error, so that its cause is returned.
            Self::Inner(error) => error.source(),
            Self::Open { .. } => None,
        }
    }
}
