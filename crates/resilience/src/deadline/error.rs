//! The error of a call under a deadline.

use std::fmt;
use std::time::Duration;

/// The error of a call under a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineError<E> {
    /// The call itself failed.
    Inner(E),
    /// The deadline passed.
    Exceeded {
        /// The time that the call had from its start; zero if the deadline had already passed, in which case the
        /// service was not called.
        after: Duration,
    },
}

impl<E: fmt::Display> fmt::Display for DeadlineError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Exceeded { after } if after.is_zero() => {
                f.write_str("the deadline was over before the call began")
            }
            Self::Exceeded { after } => write!(f, "deadline exceeded after {after:?}"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for DeadlineError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Displayed as the inner error, so that its cause is returned.
            Self::Inner(error) => error.source(),
            Self::Exceeded { .. } => None,
        }
    }
}
