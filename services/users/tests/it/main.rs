//! The users service alone: the real thing on a real PostgreSQL and a mock Kafka, with a fake of its one
//! neighbour at the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod announcements;
mod app;
mod budgets;
mod identity;
mod keys;
mod listing;
mod outage;
mod reflection;
mod sign_in;
mod sign_up;
mod slow_clients;
mod user_orders;
