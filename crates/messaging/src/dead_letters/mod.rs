//! Dead letters: to look at them, to send them again, to drop them. The same over each engine.
//!
//! A *place* is a dead-letter topic `<topic>.<group>.dlq` or a dead-letter queue `<queue>.dead`. A [`Visit`] walks
//! through the letters that are in a place when it begins. Looking changes nothing. What was sent again or dropped is
//! *settled*, and not shown again.
//!
//! | | redrive | dropping | a kill between the steps |
//! |---|---|---|---|
//! | Kafka | a copy to `<topic>.<group>.retry`, then a settlement | a settlement | sent twice at the next redrive |
//! | RabbitMQ | a copy to `<queue>`, then the acknowledgement | the acknowledgement | sent twice at the next redrive |
//! | PostgreSQL | one statement moves the row to `<queue>` | one statement | nothing happened, or all of it |
//!
//! The copy keeps the id of its event, so an idempotent consumer ignores a second copy. It goes to the one group that parked it:
//! other readers of the topic have handled the message long ago.
//!
//! A record cannot be deleted from Kafka. A *settlement* is a record without a body behind the letter in the same topic,
//! whose header [`SETTLES`] names it.

mod filter;
pub(crate) mod gauge;
mod letter;
mod sweep;
mod visit;

pub use filter::Filter;
pub use letter::DeadLetter;
pub(crate) use letter::Position;
pub use sweep::{Act, Keep, LOOKED_AT_MAX, Progress, Sweep, Swept};
pub use visit::{COPY_OF, DeadLetterStore, Outcome, SETTLES, Settled, Visit};
