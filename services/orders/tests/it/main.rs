//! The orders service alone, as it runs: on a PostgreSQL and a Kafka of its own, with products and users
//! faked at the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod abandoned;
mod allocations;
mod app;
mod broker;
mod cancel;
mod catalog;
mod durability;
mod events;
mod faults;
mod history;
mod http;
mod idempotency;
mod identity;
mod lists;
mod outage;
mod place;
mod saga;
mod stream;
mod v2;
mod validation;
mod versions;
