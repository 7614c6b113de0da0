//! What a call to an overloaded server fails with.

use std::fmt;
use std::time::Duration;

/// There is more to do than can be done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overloaded {
    /// When to come again, from now on.
    pub retry_after: Duration,
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "overloaded; try again after {:?}", self.retry_after)
    }
}

impl std::error::Error for Overloaded {}

/// What a call to a server that sheds load fails with. After `Overloaded` nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadShedError<E> {
    /// The call was refused.
    Overloaded {
        /// When to come again, from now on.
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
