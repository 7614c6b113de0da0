//! The transactional outbox with its relay, and the inbox of an idempotent consumer.
//!
//! *The problem.* A service changes its database and tells others about it. Doing both "at once"
//! is two writes to two systems: a crash between them loses the event, or announces a change that
//! never happened.
//!
//! *The outbox.* The event is a row in the same database, written in the same transaction
//! ([`Outbox::add`]). A [`relay()`] sends rows on and deletes each one when the broker has acknowledged it.
//! So every event is sent at least once, in order per aggregate.
//!
//! *The inbox.* "At least once" means sometimes twice; [`inbox::accept`] makes the second time do
//! nothing. Together: every effect exactly once, with nothing more than local transactions.
//!
//! The pattern is described at <https://microservices.io/patterns/data/transactional-outbox.html>.

mod error;
pub mod inbox;
mod lane;
mod outbox;
mod relay;
mod schema;

pub use error::OutboxError;
pub use outbox::{Entry, MAX_EVENT_BYTES, Outbox};
pub use relay::{RelayOptions, relay};
pub use schema::install;
