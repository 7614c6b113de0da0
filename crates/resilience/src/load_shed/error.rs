//! The error of a call to an overloaded server.

use std::fmt;
use std::time::Duration;

/// The server is overloaded: the call could not be processed in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overloaded {
    /// How long to wait before the next try.
    pub retry_after: Duration,
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "overloaded; try again after {:?}", self.retry_after)
    }
}

impl std::error::Error for Overloaded {}

/// The error of a call to a server with load shedding. After `Overloaded` no work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadShedError<E> {
    /// The call was refused.
    Overloaded {
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// The call itself failed.
    Inner(E),
}

impl<E> From<Overloaded> for LoadShedError<E> {
    fn from(Overloaded { retry_after }: Overloaded) -> Self {
        Self::Overloaded { retry_after }
    }
}

impl<E: fmt::Display> fmt::Display for LoadShedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Inner(ref error) => error.fmt(f),
            Self::Overloaded { retry_after } => Overloaded { retry_after }.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for LoadShedError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Displayed as itself, so its cause is ours.
            Self::Inner(error) => error.source(),
            Self::Overloaded { .. } => None,
        }
    }
}
