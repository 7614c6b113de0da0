//! How long a whole call may take, known to everything inside of it.
//!
//! A [`timeout`](crate::timeout) bounds one attempt and is known to nobody else. A deadline is a point in time for
//! all of a call: its attempts, the waits between them, and the calls that the callee makes for it.
//! [`DeadlineLayer`] sets it; whatever runs inside reads [`Deadline::current`] and gives up with it; what is left
//! of it travels to the next process in a header ([`wire`]).
//!
//! It is a task-local value rather than an argument or a request extension: a database call deep inside has
//! neither. What is spawned as a task of its own is not inside: work that must end with the call is scoped again
//! ([`Deadline::scope`]), and work that may outlive it is rightly free of it.

mod error;
mod future;
mod instant;
mod layer;
mod scope;
mod service;
pub mod wire;

pub use error::DeadlineError;
pub use future::ResponseFuture;
pub use instant::Deadline;
pub use layer::DeadlineLayer;
pub use scope::Scope;
pub use service::DeadlineService;
pub use wire::{GRPC_TIMEOUT_HEADER, TIMEOUT_HEADER};
