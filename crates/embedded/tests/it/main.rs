//! The engines, started for real.

mod away;
#[cfg(feature = "fetch")]
mod fetch;
mod postgres;
mod testing;
