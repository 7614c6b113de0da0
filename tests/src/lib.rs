//! The library of the scenarios: a client with a method for each action of a customer or an operator ([`Shop`],
//! [`Marketplace`]), the infrastructures ([`embedded`], [`compose`]), and an independent reader of the event streams ([`tap`]).
//!
//! They use an HTTP client of another project and a plain Kafka consumer, so that a mistake that our client and our server have in
//! common is not hidden.

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
