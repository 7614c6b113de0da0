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
//! ```no_run
//! use envelope::{Event, EventData};
//! use messaging::Destination;
//! use outbox::{Outbox, inbox};
//! use sqlx::PgPool;
//! use uuid::Uuid;
//!
//! type Outcome = Result<(), Box<dyn std::error::Error>>;
//!
//! /// Marks an invoice as paid and tells of it, or does neither.
//! async fn pay<T: EventData>(pool: &PgPool, outbox: &Outbox, invoice: Uuid, event: T) -> Outcome {
//!     let topic = Destination::Topic("invoice-events".to_owned());
//!     let mut tx = pool.begin().await?;
//!     // The aggregate's row lock: writers of one invoice take turns, and so do its events.
//!     let change = sqlx::query("UPDATE invoices SET status = 'paid' WHERE id = $1");
//!     change.bind(invoice).execute(&mut *tx).await?;
//!     outbox.add(&mut tx, &topic, &Event::new(event)).await?;
//!     tx.commit().await?;
//!     outbox.wake(); // sent within milliseconds; without it, at the relay's next poll
//!     Ok(())
//! }
//!
//! /// Applies the effect of an event once, however often it is delivered.
//! async fn react(pool: &PgPool, event_id: Uuid, invoice: Uuid) -> Outcome {
//!     let mut tx = pool.begin().await?;
//!     if inbox::accept(&mut tx, "mails", event_id).await? == inbox::Receipt::First {
//!         let effect = sqlx::query("INSERT INTO mails_to_write (invoice_id) VALUES ($1)");
//!         effect.bind(invoice).execute(&mut *tx).await?;
//!     }
//!     tx.commit().await?;
//!     Ok(())
//! }
//! ```
//!
//! | to | see |
//! |---|---|
//! | create the tables | [`install`] |
//! | write an event | [`Outbox::add`], then [`Outbox::wake`] |
//! | write many in one statement | [`Entry`], [`Outbox::add_all`] |
//! | send them | [`relay()`] with [`RelayOptions`] |
//! | take an event once | [`inbox::accept`], [`inbox::accept_all`], [`inbox::purge`] |
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
