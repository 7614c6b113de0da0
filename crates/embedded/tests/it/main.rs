//! The engines, started for real.

mod away;
#[cfg(feature = "fetch")]
mod fetch;
mod kafka;
mod postgres;
mod testing;
