//! The errors of a call through a bulkhead.

use std::fmt;
use std::time::Duration;

/// Why there was no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// All places and all waiting places were taken.
    Full {
        /// Calls inside at that moment.
        in_flight: usize,
        /// Calls that waited at that moment.
        waiting: usize,
    },
    /// No place became free in time.
    WaitedTooLong {
        /// How long it waited.
        waited: Duration,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { in_flight, waiting } => {
                write!(
                    f,
                    "no place: {in_flight} calls in flight, {waiting} waiting"
                )
            }
            Self::WaitedTooLong { waited } => write!(f, "no place within {waited:?}"),
        }
    }
}

impl std::error::Error for Rejected {}

/// The error of a call through a bulkhead. Only with `Inner` did the call reach the dependency; after the other errors
/// any call can safely be sent elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkheadError<E> {
    /// See [`Rejected::Full`].
    Full {
        /// Calls inside at that moment.
        in_flight: usize,
        /// Calls that waited at that moment.
        waiting: usize,
    },
    /// See [`Rejected::WaitedTooLong`].
    WaitedTooLong {
        /// How long it waited.
        waited: Duration,
    },
    /// The call itself failed.
    Inner(E),
}

impl<E> From<Rejected> for BulkheadError<E> {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Full { in_flight, waiting } => Self::Full { in_flight, waiting },
            Rejected::WaitedTooLong { waited } => Self::WaitedTooLong { waited },
        }
    }
}

impl<E: fmt::Display> fmt::Display for BulkheadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Inner(ref error) => error.fmt(f),
            Self::Full { in_flight, waiting } => Rejected::Full { in_flight, waiting }.fmt(f),
            Self::WaitedTooLong { waited } => Rejected::WaitedTooLong { waited }.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for BulkheadError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Displayed as the inner error, so that its cause is returned.
            Self::Inner(error) => error.source(),
            Self::Full { .. } | Self::WaitedTooLong { .. } => None,
        }
    }
}
