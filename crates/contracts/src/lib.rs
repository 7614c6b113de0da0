//! The shop's wire types: generated gRPC code, event payloads, REST bodies, and a typed client for
//! each service.
//!
//! The only crate under `crates/` that knows the shop. Services share it so that they agree on what
//! goes over the wire, and on nothing else: there are no rules here, and no database types.
//!
//! | module | wire |
//! |---|---|
//! | [`users`], [`products`] | gRPC, generated from `proto/` |
//! | [`rest`] | JSON bodies of the services' REST |
//! | [`events`] | facts on Kafka topics ([`topics`]) and in fan-out exchanges |
//! | [`values`] | money and addresses, in events and bodies alike |
//! | [`jobs`] | work in queues ([`queues`]) |
//! | [`identity`] | what tokens and error documents say of the shop |
//! | [`problems`] | kinds of problems, and the list of all |
//! | [`limits`] | what every hop must be able to carry |
//! | [`text`] | what a line that people fill in must not have |
//! | [`asyncapi`] | the document of all messages |
//! | [`clients`] | how to call each service |
//!
//! ```
//! use contracts::events::StockReserved;
//! use contracts::topics::STOCK_EVENTS;
//! use envelope::{Event, EventData};
//! use uuid::Uuid;
//!
//! # fn main() -> Result<(), envelope::EnvelopeError> {
//! let order_id = Uuid::now_v7();
//! let event = Event::new(StockReserved { order_id });
//! assert_eq!(event.event_type, "agora.stock.reserved.v1");
//! // The key under which it goes to its topic: events of one order stay in order.
//! assert_eq!((STOCK_EVENTS, event.subject.as_str()), ("stock-events", order_id.to_string().as_str()));
//! # Ok(()) }
//! ```
//!
//! With the feature `testing` there is also a users service for the tests of the others, faked at the wire.

pub mod asyncapi;
pub mod clients;
pub mod events;
pub mod identity;
pub mod jobs;
pub mod limits;
mod names;
pub mod problems;
mod protos;
pub mod rest;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod values;

pub use names::{queues, sources, topics};
pub use protos::{products, users};
