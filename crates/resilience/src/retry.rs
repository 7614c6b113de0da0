//! Retries calls that are safe to repeat.
//!
//! A retry saves a call from a fault that is gone a moment later: a restarted instance, a broken connection. It also
//! adds load, at the time when there is least capacity to spare. So it is limited in five ways:
//!
//! * only calls that are safe to repeat, as decided by the [`Policy`] ([`HttpPolicy`], [`GrpcPolicy`]);
//! * at most [`RetryConfig::max_attempts`] for one call;
//! * at most a percentage of all calls, the [`Budget`]: when a dependency is down, this is the limit that matters;
//! * spread over time: exponential backoff with full jitter (the crate `backoff`), or longer if the server asked for it;
//! * never past the [deadline](crate::deadline): when the wait would end after it, the caller gets the last result
//!   at once.
//!
//! When a call is not retried its caller gets the last result unchanged, so that this pattern needs no error type. The
//! alternative, "gave up after 3 attempts", would hide the reason that callers match on.
//!
//! Retry in only one place of a call chain: three layers of three attempts each are 27 calls at the bottom. The callee
//! gets the number of earlier attempts in [`PREVIOUS_ATTEMPTS_HEADER`].

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
