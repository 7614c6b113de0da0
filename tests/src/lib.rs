//! What the scenarios are written against: a shop with a verb for each thing that a customer or an
//! operator does ([`Shop`]), the infrastructure that it runs on ([`embedded`]) and other people's eyes
//! on the wire ([`tap`]).
//!
//! The drivers use somebody else's HTTP client and a plain Kafka consumer, so a mistake that our own
//! client makes in the same way as our own server does not cancel itself out.

pub mod embedded;
pub mod mail;
pub mod shop;
pub mod tap;
pub mod wait;

pub use shop::{Answer, Customer, Shop};
