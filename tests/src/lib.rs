//! What the scenarios are written against: a shop with a verb for each thing that a customer or an
//! operator does ([`Shop`], [`Marketplace`]), the infrastructures that it runs on ([`embedded`],
//! [`compose`]) and other people's eyes on the wire ([`tap`]).
//!
//! The drivers use somebody else's HTTP client and a plain Kafka consumer, so a mistake that our own
//! client makes in the same way as our own server does not cancel itself out.

pub mod browser;
pub mod collector;
pub mod compose;
pub mod cpu;
pub mod embedded;
pub mod figures;
pub mod hostile;
pub mod load;
pub mod mail;
pub mod marketplace;
pub mod neighbours;
pub mod net;
pub mod peer;
pub mod reader;
pub mod shop;
pub mod subscriber;
pub mod tap;
pub mod wait;
pub mod watch;
pub mod watchers;

pub use marketplace::Marketplace;
pub use shop::{Answer, Customer, Shop};
