//! Publish and consume: Kafka, RabbitMQ, the PostgreSQL queue and in memory, behind the same few types.
//!
//! *Facts go on the stream, work goes on the queue.* A [`Publisher`] sends to a [`Destination`]; a
//! [`Handler`] gets [`Delivery`] after delivery and answers with done, later or never
//! ([`HandlerError`]). What differs between the engines is what they promise:
//!
//! | | order | who gets a message | a failure |
//! |---|---|---|---|
//! | [`kafka`] | per key | each group once | tried in place; parked in `<topic>.<group>.dlq` |
//! | [`amqp`] (RabbitMQ) | none | one of the competing consumers | delayed, then parked in `<queue>.dead` |
//! | [`pg_queue`] | none | one of the competing consumers | delayed, then parked in `<queue>.dead` |
//! | [`memory`] | per subscriber | each subscriber | tried a few times, then dropped and counted |
//!
//! The two queues are one trait, [`Queue`], and [`open_queue`] is the one place that chooses between them.

pub mod amqp;
mod attempt;
pub mod dead_letter;
mod error;
mod handler;
pub mod kafka;
pub mod memory;
mod message;
mod names;
mod open;
pub mod pg_queue;
mod publisher;
mod queue;
mod status;
mod verdict;

pub use error::MessagingError;
pub use handler::{BoxError, Handler, HandlerError, MAX_PANICS};
pub use message::{Delivery, Destination, Message, ParseDestinationError, Receipt};
pub use open::open_queue;
pub use publisher::{PublishError, Publisher, Router};
pub use queue::{ConsumeOptions, DEAD_SUFFIX, PAYLOAD_MAX_BYTES, Queue};
pub use status::Status;
