//! Injects faults into calls, for tests and for the fault switches of the admin port.
//!
//! [`Faults`] holds the rules: for a target, the share of calls that is delayed, fails or hangs. A [`FaultLayer`] is
//! placed where the calls of one target pass, as close to the network as possible, so that all other layers see the
//! fault like a real one. Without rules, a call costs one relaxed load.
//!
//! There is no error type here: the builder of the layer provides the injected failure, since only one that looks like
//! the dependency's own (a 503, `UNAVAILABLE`, a refused connection) tests the right thing.

mod faults;
mod future;
mod layer;
mod rule;
mod service;

pub use faults::{Faults, RuleSnapshot};
pub use future::ResponseFuture;
pub use layer::FaultLayer;
pub use rule::{Kind, Rule};
pub use service::FaultService;
