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
//! Architecture invariant: this crate does no I/O and knows no broker, no framework and no shop.

mod attributes;
mod binary;
mod error;
mod event;
mod percent;
mod structured;

pub use binary::{AMQP_PREFIX, BinaryMessage, HTTP_PREFIX, KAFKA_PREFIX};
pub use error::EnvelopeError;
pub use event::{Event, EventData, RawEvent, TraceContext};
