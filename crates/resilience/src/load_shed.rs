//! The server's side: refuses early and cheaply what it could not do in time.
//!
//! At most N calls are in progress. More wait in a short queue, and the queue is watched: a burst drains it now and
//! then, overload does not. So once it has not been empty for an interval (100 ms), it *stands*, and until it drains
//!
//! * a newcomer may wait only for the target (5 ms) instead of the interval;
//! * the newest is served first, since its caller is the likeliest to be there still; the oldest, served last, is
//!   the one whose time runs out, or who goes when the queue is full.
//!
//! That is adaptive LIFO with controlled delay, as Facebook's servers do it (Ben Maurer, "Fail at Scale", ACM
//! Queue 13(8), 2015), after CoDel (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012). First
//! in, first out under overload would make every caller wait as long as it can, and the server answer only those
//! who are about to give up. No queue at all would refuse in every burst what could have been done a moment later.
//!
//! What a refusal looks like (HTTP 503 with `Retry-After`, gRPC `RESOURCE_EXHAUSTED`) is up to the server.

mod config;
mod error;
mod exempt;
mod future;
mod handle;
mod layer;
mod queue;
mod service;

pub use config::Config;
pub use error::{LoadShedError, Overloaded};
pub use exempt::{Exempt, NoneExempt};
pub use future::ResponseFuture;
pub use handle::{LoadShed, Permit, Snapshot};
pub use layer::LoadShedLayer;
pub use service::LoadShedService;
