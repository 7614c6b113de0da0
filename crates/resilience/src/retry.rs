//! Tries again what is safe to repeat.
//!
//! A retry saves a call from a fault that is gone a moment later: an instance that was restarted, a connection that
//! broke. It also adds load, and adds it when there is least to spare. So it is bounded in five ways:
//!
//! * only what is safe to repeat, which the [`Policy`] says ([`HttpPolicy`], [`GrpcPolicy`]);
//! * at most [`RetryConfig::max_attempts`] for one call;
//! * at most a percentage of all calls, the [`Budget`]: when a dependency is dead, that is the bound that counts;
//! * apart in time: exponential backoff with full jitter (the crate `backoff`), or longer if the server asked for it;
//! * never past the [deadline](crate::deadline): when the wait would end after it, the caller gets the last result
//!   at once.
//!
//! When a call is not tried again its caller gets the last result as it is, so this pattern needs no error type of
//! its own. The alternative, "gave up after 3 attempts", hides the reason that callers match on.
//!
//! Retry in one place of a call chain only: three layers of three attempts each are 27 calls at the bottom. The
//! callee sees the number of earlier attempts in [`PREVIOUS_ATTEMPTS_HEADER`].

pub mod budget;
mod config;
mod future;
mod http;
mod layer;
mod policy;
mod service;
mod shared;
mod stats;

pub use budget::{Budget, BudgetConfig};
pub use config::RetryConfig;
pub use future::ResponseFuture;
pub use http::{Failed, GrpcPolicy, HttpPolicy, PREVIOUS_ATTEMPTS_HEADER, clone_body};
pub use layer::RetryLayer;
pub use policy::{Policy, Verdict};
pub use service::Retry;
pub use stats::{RetrySnapshot, RetryStats};
