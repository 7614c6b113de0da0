//! The engines, started for real.

#[cfg(feature = "fetch")]
mod fetch;
mod kafka;
mod postgres;
mod testing;
