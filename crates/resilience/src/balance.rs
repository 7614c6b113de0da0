//! Spreads calls over endpoints, away from slow and failing ones.
//!
//! * **Two choices.** Each call compares two endpoints drawn at random and takes the cheaper one. That is nearly as even as
//!   comparing all of them and costs the same for two as for two thousand (Mitzenmacher, "The Power of Two Choices in
//!   Randomized Load Balancing", 2001). Round robin, the alternative, gives a slow endpoint as many calls as a fast one.
//! * **Cost** is the endpoint's latency times the number of pending calls plus one. The latency is a peak-sensitive moving
//!   average: one slow answer raises it at once, and it comes down slowly (Finagle's peak EWMA). A failure raises it, so
//!   that an endpoint that fails fast does not look fast.
//! * **Ejection.** Each endpoint has its own [circuit breaker](crate::circuit_breaker). While it is open the endpoint is
//!   ejected; then it is probed by one call at a time, and then [warmed in](BalanceConfig::warm_in). The breaker only
//!   judges: at most [a share](BalanceConfig::max_ejected_percent) of the endpoints is ejected at once, and never all of
//!   them, since if all look bad the cause is probably elsewhere.
//! * **The set** of endpoints is replaced through a handle, [`Endpoints`]; the state of endpoints that remain is kept.
//!
//! [`Balance`] picks in `call`, not in `poll_ready`, and is therefore always ready. A pick made in `poll_ready` is
//! outdated by the time of the call, cannot take into account that a retry should go elsewhere, and would have to be
//! undone for callers that never call. The cost: an endpoint is picked without checking whether it is ready, and the
//! call waits for it. That wait counts as pending and as latency, so that the next pick takes it into account.

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
