//! Slow clients: they hold only what is their own.

mod crowds;
mod readers;
mod senders;
