//! The message envelope: [CloudEvents 1.0](https://cloudevents.io), a version in each event's type, and
//! trace context.
//!
//! [`Event<T>`] is what a service works with: typed data and typed attributes. It goes on the wire in one
//! of CloudEvents' two modes:
//!
//! * *binary*: attributes are headers, the body is the data ([`Event::to_binary`], [`RawEvent::from_binary`]);
//!   Kafka, queues and HTTP carry this one, since a consumer can route by header without parsing the body;
//! * *structured*: one JSON document ([`Event::to_structured`], [`RawEvent::from_structured`]).
//!
//! What arrives is a [`RawEvent`]: its attributes are checked, its data is still JSON text. The consumer
//! looks at the type first and then [decodes](RawEvent::decode) into the payload that it expects, so that one
//! topic can carry many types and an unknown one costs nothing.
//!
//! ```
//! use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Measured {
//!     sensor: String,
//!     celsius: f32,
//! }
//!
//! impl EventData for Measured {
//!     const TYPE: &'static str = "example.sensor.measured.v1";
//!     const SOURCE: &'static str = "/services/sensors";
//!
//!     fn subject(&self) -> String {
//!         self.sensor.clone()
//!     }
//! }
//!
//! # fn main() -> Result<(), envelope::EnvelopeError> {
//! let event = Event::new(Measured { sensor: "roof".into(), celsius: 21.5 });
//! let message = event.to_binary(KAFKA_PREFIX)?;
//!
//! // On the other side: headers and a body.
//! let headers = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
//! let arrived = RawEvent::from_message(KAFKA_PREFIX, headers, &message.body)?;
//! assert_eq!(arrived.event_type, Measured::TYPE);
//! let measured: Event<Measured> = arrived.decode()?;
//! assert_eq!((measured.id, measured.data.celsius), (event.id, 21.5));
//! # Ok(()) }
//! ```
//!
//! | to | see |
//! |---|---|
//! | define an event | [`EventData`] |
//! | make one, and say what caused it | [`Event::new`], [`Event::caused_by`], [`Event::with_sequence`] |
//! | write it | [`Event::to_binary`] with [`KAFKA_PREFIX`], [`AMQP_PREFIX`] or [`HTTP_PREFIX`]; [`Event::to_structured`] |
//! | read it, in whichever mode it came | [`RawEvent::from_message`], then [`RawEvent::decode`] |
//! | read it in one mode | [`RawEvent::from_binary`], [`RawEvent::from_structured`] |
//! | read old versions as the newest | [`EventData::versions`], [`Versions::read`], [`Versions::decode`] |
//! | publish two versions at once | [`Event::with_twin`] |
//! | carry a trace | [`TraceContext`] |
//! | know what was wrong | [`EnvelopeError`] |
//!
//! Architecture invariant: this crate does no I/O and knows no broker, no framework and no shop.

mod attributes;
mod binary;
mod error;
mod event;
mod mode;
mod structured;

pub use binary::{AMQP_PREFIX, BinaryMessage, HTTP_PREFIX, KAFKA_PREFIX};
pub use error::EnvelopeError;
pub use event::{Event, EventData, RawEvent, TraceContext, Versions};
pub use mode::STRUCTURED_CONTENT_TYPE;
