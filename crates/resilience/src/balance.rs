//! Spreads calls over endpoints, away from slow and failing ones.
//!
//! * **Two choices.** Each call looks at two endpoints drawn at random and takes the cheaper one. That is nearly as
//!   even as looking at all of them and costs the same for two as for two thousand (Mitzenmacher, "The Power of Two
//!   Choices in Randomized Load Balancing", 2001). Round robin, the alternative, hands a slow endpoint as much
//!   as a fast one.
//! * **Cost** is the endpoint's latency times the calls pending there plus one. The latency is a peak-sensitive
//!   moving average: it jumps up with one slow answer and comes down slowly (Finagle's peak EWMA). A failure makes
//!   it rise, so that failing fast does not look like working fast.
//! * **Ejection.** Each endpoint has a [circuit breaker](crate::circuit_breaker) of its own: while it is open the
//!   endpoint is left out, then it is asked by one probe at a time, and then [warmed in](BalanceConfig::warm_in). The
//!   breaker only judges; at most [a share](BalanceConfig::max_ejected_percent) of the endpoints is left out at once,
//!   and never all: if all look bad, the fault is likely elsewhere.
//! * **The set** of endpoints is replaced through a handle, [`Endpoints`]; what is known of those that stay is kept.
//!
//! [`Balance`] picks in `call`, not in `poll_ready`, and is therefore always ready. A pick made in `poll_ready` is
//! old when the call comes, cannot know of a retry that should go elsewhere, and would have to be undone for
//! callers that never call. The price: an endpoint is picked without asking whether it is ready, and the call waits
//! for it. That wait counts as pending and as latency, so that the next pick knows.

mod config;
mod elsewhere;
mod endpoint;
mod endpoints;
mod error;
mod future;
mod latency;
mod pending;
mod pick;
mod service;
mod snapshot;

pub use config::BalanceConfig;
pub use elsewhere::{RetryElsewhere, RetryElsewhereLayer};
pub use endpoints::Endpoints;
pub use error::BalanceError;
pub use future::ResponseFuture;
pub use pending::Pending;
pub use service::Balance;
pub use snapshot::{EndpointSnapshot, EndpointState};
