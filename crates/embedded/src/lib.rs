//! Real engines without installing any.
//!
//! * [`postgres`]: a private PostgreSQL cluster in a directory of your choice, from the binaries on the
//!   machine or (feature `fetch`) from fetched ones.
//! * [`kafka`]: librdkafka's mock cluster: the real protocol, in this process, in memory.
//! * [`testing`]: both of them for tests, in one line.
//!
//! Everything in here is synchronous and needs no runtime, except where it says `async`.

mod error;
pub mod kafka;
pub mod postgres;
pub mod testing;

pub use error::Error;
