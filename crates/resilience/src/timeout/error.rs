//! The error of a call under a timeout.

use std::fmt;
use std::time::Duration;

/// The error of a call under a timeout. The inner error keeps its type: the alternative, tower's boxed error, costs an
/// allocation and makes each caller downcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutError<E> {
    /// The call itself failed.
    Inner(E),
    /// The call took longer than this.
    TimedOut(Duration),
}

impl<E: fmt::Display> fmt::Display for TimeoutError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::TimedOut(after) => write!(f, "no answer within {after:?}"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for TimeoutError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Displayed as the inner error, so that its cause is returned.
            Self::Inner(error) => error.source(),
            Self::TimedOut(_) => None,
        }
    }
}
