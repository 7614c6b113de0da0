//! Patterns that bound what a slow or dead dependency costs.
//!
//! * [`backoff`]: how long to wait before the next attempt;
//! * [`classify`]: what counts as a failure, for the patterns that need to know;
//! * [`deadline`]: how long a whole call may take, known to everything inside of it;
//! * [`timeout`]: gives up on one attempt;
//! * [`retry`]: tries again what is safe to repeat, within a budget;
//! * [`circuit_breaker`]: stops asking a dependency that fails;
//! * [`bulkhead`]: bounds the calls in progress at a dependency, fixed or adaptive;
//! * [`load_shed`]: the server's side: refuses early what it cannot do in time;
//! * [`balance`]: spreads calls over endpoints, away from slow and failing ones;
//! * [`fault`]: breaks calls on purpose, for tests and demonstrations.
//!
//! Each pattern that wraps calls is a [tower](https://docs.rs/tower) layer laid out in tower's four files:
//! `layer`, `service`, `future`, `error`.
//!
//! The constructors and polls of the layers' futures are `#[inline]`: each layer moves the future of the one inside of
//! it, and what is inlined is moved once. That is a quarter of what a stack of four costs.
//!
//! Architecture invariant: this crate does no I/O of its own and knows nothing of this system.

pub mod backoff;
pub mod balance;
pub mod bulkhead;
pub mod circuit_breaker;
pub mod classify;
pub mod deadline;
pub mod fault;
pub mod load_shed;
pub mod retry;
pub mod timeout;

mod config_error;
#[cfg(test)]
mod crowd;

pub use config_error::ConfigError;
