//! The outbox on a real PostgreSQL, with brokers that misbehave on purpose.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and that is all it has to say"
)]

mod backlog;
mod broker;
mod consumer;
mod delivery;
mod examples;
mod fixture;
mod headers;
mod inbox;
mod install;
mod order;
mod outage;
mod payloads;
mod processes;
mod replay;
mod seen;
mod versions;
mod wake;
mod write;
