//! Limits the calls in progress at a dependency, so that a slow one cannot use up all resources of its callers.
//!
//! At most N calls are inside, and at most M wait, for a limited time, first come first served; a call beyond both
//! limits is refused at once. The name comes from ships: a hole floods one compartment, not the ship (Michael Nygard,
//! "Release It!", 2007). N is fixed or [adapts to measurements](AdaptiveConfig).
//!
//! A [`BulkheadLayer`] takes the place inside of the call, not in `poll_ready`. A place taken there would belong to a
//! service that is ready and may never be called: a caller that polled readiness and then waits for something else
//! would hold a place for nothing, and a service that is kept ready in a pool would hold it for ever. tower's own
//! concurrency limit works that way, which suits servers that stop reading when they are full; a client wants to be
//! refused instead. The cost: a waiting call needs its own service, so the inner service must be `Clone`; it is cloned
//! only when a call waits.

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
