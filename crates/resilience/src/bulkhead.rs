//! Bounds the calls in progress at a dependency, so that a slow one cannot take everything its callers have.
//!
//! At most N calls are inside, at most M wait for at most a stated time, first come first served; whoever finds
//! both full is refused at once. The name is a ship's: a hole floods one compartment, not the ship (Michael
//! Nygard, "Release It!", 2007). N is fixed or [moves with what is measured](AdaptiveConfig).
//!
//! A [`BulkheadLayer`] takes the place inside of the call, not in `poll_ready`. A place taken there belongs to a
//! service that is ready and may never be called: a caller that asked for readiness and then waits for something
//! else holds a place for nothing, and a service that is kept ready in a pool holds it for ever. tower's own
//! concurrency limit does so, which suits servers that stop reading when they are full; a client wants to hear
//! "no". What it costs: a waiting call needs a service of its own, so the inner service must be `Clone`; it is
//! cloned only when a call waits.

mod adaptive;
mod config;
mod error;
mod future;
mod handle;
mod layer;
mod limit;
mod permit;
mod service;
mod shared;

pub use config::{AdaptiveConfig, Config, Limit};
pub use error::{BulkheadError, Rejected};
pub use future::ResponseFuture;
pub use handle::{Bulkhead, Snapshot};
pub use layer::BulkheadLayer;
pub use permit::Permit;
pub use service::BulkheadService;
