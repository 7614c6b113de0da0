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
//! | [`jobs`] | work in queues ([`queues`]) |
//! | [`limits`] | what every hop must be able to carry |
//! | [`clients`] | how to call each service |
//!
//! With the feature `testing` there is also a users service for the tests of the others, faked at the wire.

pub mod clients;
pub mod events;
pub mod jobs;
pub mod limits;
mod names;
mod protos;
pub mod rest;
#[cfg(feature = "testing")]
pub mod testing;

pub use names::{queues, sources, topics};
pub use protos::{products, users};
