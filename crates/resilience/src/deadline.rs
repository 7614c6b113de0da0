//! The time limit of a whole call, known to all code inside of it.
//!
//! A [`timeout`](crate::timeout) limits one attempt and is known only to its layer. A deadline is a point in time for
//! the whole call: its attempts, the waits between them, and the calls that the callee makes for it. [`DeadlineLayer`]
//! sets it, code inside of the call reads [`Deadline::current`] and stops in time, and the remaining time is sent to
//! the next process in a header ([`wire`]).
//!
//! It is a task-local value rather than an argument or a request extension, because a database call deep inside has
//! neither. A spawned task is not inside: work that must end with the call is scoped again ([`Deadline::scope`]), and
//! work that may outlive the call is rightly without it.

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
