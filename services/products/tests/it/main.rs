//! The products service alone: a real PostgreSQL, a Kafka that speaks the real protocol, and its one
//! neighbour faked at the wire.

mod app;
mod broker;
mod browse;
mod cancel;
mod door;
mod faults;
mod goods;
mod quote;
mod reserve;
mod users;
