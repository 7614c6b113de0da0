//! The error of a balanced call.

use std::fmt;

/// The error of a balanced call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalanceError<E> {
    /// The endpoint that was picked failed.
    Inner(E),
    /// There is no endpoint to call. Returned at once: whether to wait for the first endpoints is up to discovery.
    NoEndpoints,
}

impl<E: fmt::Display> fmt::Display for BalanceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::NoEndpoints => f.write_str("no endpoint to call is known"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for BalanceError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Displayed as the inner error, so that its cause is returned.
            Self::Inner(error) => error.source(),
            Self::NoEndpoints => None,
        }
    }
}
