//! Gives up on a call that takes too long.
//!
//! The call's future is dropped, which cancels it in process; what the other side already does, it goes on
//! doing. So the bound is on the caller's waiting, not on the work.

mod error;
mod future;
mod layer;
mod service;

pub use error::TimeoutError;
pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use service::Timeout;
