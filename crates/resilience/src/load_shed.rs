//! The server's side: refuses early and cheaply the calls that it could not process in time.
//!
//! At most N calls are in progress. Further calls wait in a short queue, and the queue is monitored: in a burst it
//! becomes empty now and then, under overload it does not. So once it has not been empty for an interval (100 ms), it
//! *stands*, and until it is empty again
//!
//! * a new call may wait only for the target (5 ms) instead of the interval;
//! * the newest call is served first, since its caller is most likely to be still waiting; the oldest one, served last, is
//!   the one that times out, or is evicted when the queue is full.
//!
//! That is adaptive LIFO with controlled delay, as in Facebook's servers (Ben Maurer, "Fail at Scale", ACM Queue 13(8),
//! 2015), after CoDel (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012). First in, first out
//! under overload would make every caller wait as long as possible, and the server would answer only callers that are
//! about to give up. Without a queue, calls that could be processed a moment later would be refused in every burst.
//!
//! The form of a refusal (HTTP 503 with `Retry-After`, gRPC `RESOURCE_EXHAUSTED`) is up to the server.

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
