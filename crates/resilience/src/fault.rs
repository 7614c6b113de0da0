//! Breaks calls on purpose, for tests and for the fault switches of the admin port.
//!
//! [`Faults`] says what is broken: for a target, a share of calls that is delayed, fails or hangs. A [`FaultLayer`]
//! stands where the calls of one target pass, as near to the network as it can, so that all other layers meet the
//! fault as they would meet a real one. While nothing is broken, a call costs one relaxed load.
//!
//! There is no error type here: what an injected failure looks like is told by whoever builds the layer, since only
//! one that looks like the dependency's own (a 503, `UNAVAILABLE`, a refused connection) tests what it should.

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
