//! Abandons a call that takes too long.
//!
//! The call's future is dropped, which cancels it in this process; the other side continues the work that it has begun.
//! So the limit is on the caller's wait, not on the work.

mod error;
mod future;
mod layer;
mod service;

pub use error::TimeoutError;
pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use service::Timeout;
