//! Publish and consume: Kafka, RabbitMQ, the PostgreSQL queue and in memory, behind the same few types.
//!
//! *Facts go on the stream, work goes on the queue.* A [`Publisher`] sends to a [`Destination`]; a
//! [`Handler`] gets [`Delivery`] after delivery and returns done, retry later or never
//! ([`HandlerError`]). What differs between the engines is what they promise:
//!
//! | | order | who gets a message | a failure |
//! |---|---|---|---|
//! | [`kafka`] | per key | each group once | tried in place; parked in `<topic>.<group>.dlq` |
//! | [`amqp`] (RabbitMQ) | none | one of the competing consumers | delayed, then parked in `<queue>.dead` |
//! | [`pg_queue`] | none | one of the competing consumers | delayed, then parked in `<queue>.dead` |
//! | `memory` | per subscriber | each subscriber | tried a few times, then dropped and counted |
//!
//! Each engine is a feature of this crate: `kafka`, `amqp`, `postgres`, `memory`. None is on by default, and the types
//! that they share need none.
//!
//! The two queues are one trait, [`Queue`], and [`open_queue`] is the one place that chooses between them.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//!
//! use messaging::memory::MemoryBus;
//! use messaging::{Delivery, Destination, Handler, HandlerError, Message, Publisher};
//! use tokio_util::sync::CancellationToken;
//!
//! /// Counts what it gets.
//! #[derive(Default)]
//! struct Counter(AtomicUsize);
//!
//! #[async_trait::async_trait]
//! impl Handler for Counter {
//!     async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
//!         if delivery.message.payload.is_empty() {
//!             // No retry makes it better: it is parked at once, where there is a dead-letter queue.
//!             return Err(HandlerError::permanent("an empty message"));
//!         }
//!         self.0.fetch_add(1, Ordering::Relaxed);
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), messaging::PublishError> {
//! let (bus, counter, shutdown) = (MemoryBus::new(), Arc::new(Counter::default()), CancellationToken::new());
//! let to = Destination::Topic("sensor-events".to_owned());
//! let consumer = tokio::spawn(bus.subscribe(&to, counter.clone(), shutdown.clone()));
//!
//! bus.publish(&to, Message::new("21.5").with_key("roof")).await?;
//! while counter.0.load(Ordering::Relaxed) == 0 {
//!     tokio::task::yield_now().await;
//! }
//! shutdown.cancel();
//! consumer.await.expect("it ends without a panic");
//! # Ok(()) }
//! ```
//!
//! | to | see |
//! |---|---|
//! | send | [`Publisher`], [`Message`], [`Destination`]; [`Router`] for topics here and queues there |
//! | react | [`Handler`], [`HandlerError`] |
//! | join a consumer group | [`kafka::consume`] with [`kafka::ConsumerOptions`] |
//! | work on a queue | [`Queue::consume`] with [`ConsumeOptions`]; [`open_queue`] |
//! | look at what failed, send it again | [`dead_letter`] for its headers, [`dead_letters`] |
//! | write a row for each message, many of them with one commit | [`Together`] |
//! | report readiness | [`Status`]; [`Watched`] for one of two engines |

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "clap")]
pub mod args;
#[cfg(feature = "_engine")]
mod attempt;
#[cfg(any(feature = "kafka", feature = "_queue"))]
pub mod dead_letter;
#[cfg(any(feature = "kafka", feature = "_queue"))]
pub mod dead_letters;
mod error;
mod handler;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(all(test, feature = "_engine"))]
mod logged;
#[cfg(feature = "memory")]
pub mod memory;
mod message;
#[cfg(any(feature = "kafka", feature = "_queue"))]
mod names;
#[cfg(feature = "_engine")]
mod observe;
#[cfg(all(feature = "amqp", feature = "postgres"))]
mod open;
#[cfg(feature = "postgres")]
pub mod pg_queue;
#[cfg(feature = "kafka")]
mod position;
mod publisher;
mod queue;
#[cfg(feature = "chassis")]
mod service;
mod status;
mod together;
#[cfg(feature = "_queue")]
mod verdict;
mod watched;

#[cfg(any(feature = "kafka", feature = "_queue"))]
pub use dead_letter::DEAD_SUFFIX;
pub use error::MessagingError;
pub use handler::{BoxError, Handler, HandlerError, MAX_PANICS};
pub use message::{Delivery, Destination, Message, ParseDestinationError};
#[cfg(any(feature = "kafka", feature = "_queue"))]
pub use names::NAME_MAX_CHARS;
#[cfg(all(feature = "amqp", feature = "postgres"))]
pub use open::open_queue;
pub use publisher::{PublishError, Publisher, Router};
pub use queue::{ConsumeOptions, PAYLOAD_MAX_BYTES, Queue};
#[cfg(all(feature = "chassis", feature = "kafka"))]
pub use service::start_stream;
#[cfg(feature = "chassis")]
pub use service::{show_dead_letters, start_queue};
pub use status::Status;
pub use together::Together;
pub use watched::Watched;
