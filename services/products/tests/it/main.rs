//! The products service alone: a real PostgreSQL, a Kafka that speaks the real protocol, and its one
//! neighbour faked at the wire.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions, not in their helpers"
)]

mod app;
mod batch;
mod broker;
mod browse;
mod cancel;
mod contention;
mod door;
mod escrow;
mod faults;
mod goods;
mod outage;
mod quote;
mod reserve;
mod versions;
