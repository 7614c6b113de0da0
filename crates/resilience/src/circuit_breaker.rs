//! Stops calling a dependency that fails.
//!
//! While the dependency works, calls go through and are counted (*closed*). When too many of the recent ones failed,
//! calls are refused at once for a while (*open*): callers do not wait in vain, and the dependency gets time to
//! recover. Then a few calls are let through as probes (*half-open*): when they succeed it closes, and when one fails
//! it opens again, for longer. The pattern is Michael Nygard's ("Release It!", 2007).
//!
//! * [`CircuitBreaker`] is the handle: acquire, call, record; inspect, force, reset;
//! * [`Config`] sets when it opens, for how long, and how it closes again;
//! * [`CircuitBreakerLayer`] puts it around a tower service;
//! * `state.rs` is the state machine, `word.rs` the word that it is kept in, `window.rs` the counts; loom checks all three, in
//!   `tests/loom`;
//! * `examples/breaker_by_mutex.rs` is the same breaker with a mutex and straight-line code; read it first. A property test
//!   compares the two.

mod admission;
mod breaker;
mod config;
mod error;
mod events;
mod future;
mod layer;
mod padded;
mod permit;
mod service;
mod state;
mod sync;
mod window;
mod word;

// For `state.rs`, which loom's models include under another parent module.
use crate::classify::Outcome;

pub(crate) use admission::Admission;
pub use admission::Rejected;
pub use breaker::CircuitBreaker;
pub use config::{Config, Window};
pub use error::CircuitBreakerError;
pub use events::{Snapshot, State, StateChange};
pub use future::ResponseFuture;
pub use layer::CircuitBreakerLayer;
pub use permit::Permit;
pub use service::CircuitBreak;
