//! What each engine does for dead letters.

use async_trait::async_trait;

use super::DeadLetter;
use crate::{MessagingError, PublishError};

/// The header of a settlement: `<partition>/<offset>` of the letter.
pub const SETTLES: &str = "dlq_settles";

/// The header of a record in a dead-letter topic that is only a copy: the queue that keeps the letter. It cannot be settled
/// here, and is not shown.
pub const COPY_OF: &str = "dlq_copy_of";

/// The places of one engine.
#[async_trait]
pub trait DeadLetterStore: Send + Sync {
    /// The names of all places that exist, sorted.
    ///
    /// # Errors
    /// The engine's.
    async fn places(&self) -> Result<Vec<String>, MessagingError>;

    /// How many letters in a place are not settled.
    ///
    /// # Errors
    /// The engine's; [`MessagingError::Name`] if there is no such place.
    async fn count(&self, place: &str) -> Result<u64, MessagingError>;

    /// Whether `count` leaves out the letters that somebody looks at, for as long as they do.
    fn hides_what_is_looked_at(&self) -> bool {
        false
    }

    /// Begins to walk through a place.
    ///
    /// # Errors
    /// The engine's; [`MessagingError::Name`] if there is no such place.
    async fn visit(&self, place: &str) -> Result<Box<dyn Visit>, MessagingError>;
}

/// A walk through a place, the oldest letter first. What is parked while it lasts is not part of it.
#[async_trait]
pub trait Visit: Send {
    /// The next letter that is not settled; `None` at the end, or where the visit [is cut](Self::is_cut). Nothing changes.
    ///
    /// # Errors
    /// The engine's.
    async fn next(&mut self) -> Result<Option<DeadLetter>, MessagingError>;

    /// Whether [`next`](Self::next) has come to its end although letters are left that were there at the beginning: the
    /// visit cannot hold more of them.
    fn is_cut(&self) -> bool {
        false
    }

    /// Sends a letter of this visit again, to the group or the queue that parked it, and settles it.
    ///
    /// # Errors
    /// The engine's. The letter may have been sent all the same; it is still there then.
    async fn redrive(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError>;

    /// Settles a letter of this visit; it is gone then.
    ///
    /// # Errors
    /// The engine's. The letter may be gone all the same.
    async fn discard(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError>;

    /// Ends the visit. Whatever was only looked at is back in its place when this returns.
    async fn leave(self: Box<Self>);
}

/// What became of an attempt to settle a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is settled.
    Done,
    /// Another visit or program has settled it, or holds it, since it was read.
    Gone,
    /// It was not sent again and stays, because its body was too large to be parked
    /// ([`DeadLetter::body_bytes`]).
    Bodyless,
}

/// How a letter was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was sent again.
    Redriven,
    /// It was dropped.
    Dropped,
}

impl Outcome {
    /// As the header `dlq_outcome` of a settlement has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Dropped => "dropped",
        }
    }
}

impl From<PublishError> for MessagingError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Unavailable(why) => Self::Unavailable(why),
            rejected @ (PublishError::Rejected(_) | PublishError::TooLarge(_)) => {
                Self::Name(rejected.to_string())
            }
        }
    }
}
