//! The transactional outbox with its relay, and the inbox of an idempotent consumer.
//!
//! *The problem.* A service changes its database and tells others about it. Doing both "at once"
//! is two writes to two systems: a crash between them loses the event, or announces a change that
//! never happened.
//!
//! *The outbox.* The event is a row in the same database, written in the same transaction
//! ([`Transaction::tell`]). A [`relay()`] sends rows on and deletes each one when the broker has acknowledged it.
//! So every event is sent at least once, in order per aggregate.
//!
//! *The inbox.* "At least once" means sometimes twice; an [`IdempotentConsumer`] makes the second time do
//! nothing. Together: every effect exactly once, with nothing more than local transactions.
//!
//! ```no_run
//! use envelope::{Event, EventData};
//! use messaging::Destination;
//! use outbox::{EventHandler, Failure, Outbox, Reads, Received, Transaction};
//! use sqlx::PgPool;
//! use uuid::Uuid;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)]
//! # struct InvoicePaid { invoice_id: Uuid }
//! # impl EventData for InvoicePaid {
//! #     const TYPE: &'static str = "example.invoice.paid.v1";
//! #     const SOURCE: &'static str = "/services/invoices";
//! #     fn subject(&self) -> String { self.invoice_id.to_string() }
//! # }
//!
//! type Outcome = Result<(), Box<dyn std::error::Error>>;
//!
//! /// Marks an invoice as paid and tells of it, or does neither.
//! async fn pay(pool: &PgPool, outbox: &Outbox, invoice_id: Uuid) -> Outcome {
//!     let topic = Destination::Topic("invoice-events".to_owned());
//!     let mut tx = outbox.begin(pool).await?;
//!     // The aggregate's row lock: writers of one invoice take turns, and so do its events.
//!     let change = sqlx::query("UPDATE invoices SET status = 'paid' WHERE id = $1");
//!     change.bind(invoice_id).execute(&mut *tx).await?;
//!     tx.tell(&topic, &Event::new(InvoicePaid { invoice_id }))?;
//!     tx.commit().await?; // and the relay sends it within milliseconds
//!     Ok(())
//! }
//!
//! /// Writes a mail for each invoice that was paid, once, however often the event is delivered.
//! struct Mails;
//!
//! impl EventHandler for Mails {
//!     type Fact = InvoicePaid;
//!
//!     fn reads() -> Reads<InvoicePaid> {
//!         Reads::new().event(|paid: InvoicePaid| paid)
//!     }
//!
//!     async fn apply(&self, tx: &mut Transaction, events: Vec<Received<InvoicePaid>>) -> Result<(), Failure> {
//!         for event in events {
//!             let effect = sqlx::query("INSERT INTO mails_to_write (invoice_id) VALUES ($1)");
//!             effect.bind(event.fact.invoice_id).execute(&mut **tx).await?;
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! | to | see |
//! |---|---|
//! | create the tables, and fill their pages as the broker wants them | [`install`], [`fit_pages`] |
//! | tell an event | [`Outbox::begin`], [`Transaction::tell`], [`Transaction::commit`] |
//! | the same in one round trip | [`Outbox::tell_in`], [`Told`], [`Telling`] |
//! | the same for several at once | [`Outbox::tell_all_in`], [`watched`] |
//! | send them | [`relay()`] with [`RelayOptions`]; in a service on `chassis`, `start_relay` (feature `chassis`) |
//! | take an event once | [`EventHandler`], [`Consumers::idempotent`] |
//! | know what is tried again | [`Failure`], [`DatabaseFailure`] |
//! | take an event once in a transaction of your own | [`inbox::accept`], [`inbox::accept_all`] |
//! | forget what nobody sends again | [`inbox::purge`] |
//!
//! The pattern is described at <https://microservices.io/patterns/data/transactional-outbox.html>.

#[cfg(feature = "clap")]
mod args;
mod bounded;
mod consumer;
mod error;
mod headers;
pub mod inbox;
mod lane;
mod outbox;
mod relay;
mod schema;
#[cfg(feature = "chassis")]
mod service;
mod transaction;

#[cfg(feature = "clap")]
pub use args::OutboxArgs;
pub use consumer::{
    Consumers, DatabaseFailure, EventHandler, Failure, IdempotentConsumer, Reads, Received,
    event_in,
};
pub use error::OutboxError;
pub use outbox::Outbox;
pub use relay::{PublishSpan, Published, RelayOptions, relay};
pub use schema::{fit_pages, install};
#[cfg(feature = "chassis")]
pub use service::start_relay;
pub use transaction::{MAX_EVENT_BYTES, Telling, Told, Transaction, watched};
