//! The layers of a call and the reasons for their order.
//!
//! ```text
//! deadline          how long the caller waits in all
//!   bulkhead        a place among the calls to this peer
//!     breaker       whether the peer as a whole is worth asking
//!       retry       the attempts, within a budget; each goes to another endpoint than the one before
//!         attempt   how long this attempt may take; the time is sent to the peer
//!           balance one endpoint; each has a breaker of its own
//!             connection
//! ```
//!
//! Why in this order:
//!
//! * **deadline outermost**: it is the time that the caller waits, so that it also runs while a call waits for its place and
//!   between attempts.
//! * **bulkhead outside of breaker and retry**: a place is for a call, not for an attempt. Inside of the retry, a call would
//!   release its place before each pause and might find none for its second attempt; and while a peer is slow, calls in
//!   their pause would not be counted at all. The cost: a call in its pause holds a place, for milliseconds by itself, and
//!   for as long as the peer asks it to wait (`Retry-After`), 2 s at most before each retry. A peer that sheds so can fill
//!   its places with calls that wait; the retry budget bounds how many do, and it harms no other peer's calls. Outside
//!   of the breaker, since a half-open breaker's probe must not wait in a queue.
//! * **breakers on both sides of the retry**: each attempt is judged by the breaker of its endpoint. The peer's breaker
//!   judges a call once, by the last of its attempts that had a meaningful outcome (`hearing.rs`). The alternative, the
//!   peer's breaker inside of the retry, would count the same attempts as the endpoints' breakers, add nothing to them and
//!   make a mistake: when one of two endpoints hangs, twenty attempts time out in the same millisecond, the failing half
//!   looks like the whole peer, and calls that a retry would have saved are refused.
//! * **timeout inside of the retry**: it is the limit of one attempt. Outside of the balancer: the time to connect is part
//!   of the attempt's time.

mod attempt;
mod endpoints;
mod export;
mod hearing;
mod hop;
mod monitor;
mod shared;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use resilience::ConfigError;
use resilience::balance::{Balance, RetryElsewhere, RetryElsewhereLayer};
use resilience::bulkhead::Permit;
use resilience::deadline::{Deadline, DeadlineError, DeadlineLayer};
use resilience::retry::{Budget, Policy, Retry, RetryConfig, RetryLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::body::RequestBody;
use crate::failure::{AttemptError, Failure, Judge};
use crate::{CallError, ClientConfig, Peer, patience};

pub use monitor::{Force, Monitor};
pub(crate) use wire::Wire;

use attempt::Attempt;
use endpoints::{EndpointSet, Made};
use hearing::Hearing;
use shared::Shared;

type Balanced<S> = Balance<SocketAddr, S, Judge>;

/// The layers from the retry inwards.
type Layers<S, P> = RetryElsewhere<Retry<Attempt<S>, P>>;

/// A retry starts only if at least this fraction (one tenth) of an attempt's time is left before the deadline.
const LEAST_PART: u32 = 10;

/// All layers between a call and the endpoints of its peer. Cheap to clone; clones share everything. `S` calls one
/// endpoint, `P` is the retry policy.
pub(crate) struct Stack<S, P> {
    layers: Layers<S, P>,
    wire: Wire,
    shared: Arc<Shared>,
}

impl<S: Send + Sync + 'static, P> Stack<S, P> {
    /// The stack for `peer`; `make` creates the service of an endpoint. It does not connect yet.
    ///
    /// # Panics
    /// If the peer's configuration was not validated and cannot work; and outside of a Tokio runtime.
    pub(crate) fn new(
        peer: Peer,
        wire: Wire,
        policy: P,
        make: impl Fn(SocketAddr) -> S + Send + Sync + 'static,
    ) -> Self {
        Self::try_new(peer, wire, policy, make).expect("the configuration was validated")
    }

    fn try_new(
        peer: Peer,
        wire: Wire,
        policy: P,
        make: impl Fn(SocketAddr) -> S + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let config = &peer.config;
        config.validate()?;
        let balance: Balanced<S> = balance(&peer)?;
        let retry = retry(config, policy)?;
        let endpoints: Arc<dyn EndpointSet> = Arc::new(Made::new(balance.endpoints(), make));
        let shared = Shared::new(peer, endpoints, retry.stats())?;
        tokio::spawn(export::keep(Arc::downgrade(&shared)));
        let layers = ServiceBuilder::new()
            .layer(RetryElsewhereLayer)
            .layer(retry)
            .layer_fn(|balance| Attempt::new(balance, wire, Arc::clone(&shared)))
            .service(balance);
        Ok(Self {
            layers,
            wire,
            shared,
        })
    }
}

fn balance<S>(peer: &Peer) -> Result<Balanced<S>, ConfigError> {
    // A placeholder: each attempt sets its own judge.
    let judge = Judge {
        is_full: false,
        was_reached: false,
    };
    Balance::new(peer.label(), &peer.config.balance(), judge)
}

fn retry<P>(config: &ClientConfig, policy: P) -> Result<RetryLayer<P>, ConfigError> {
    let retry = RetryConfig {
        max_attempts: config.retries + 1,
        least_left: config.attempt / LEAST_PART,
        ..RetryConfig::default()
    };
    RetryLayer::new(policy, retry, Budget::new(config.budget())?)
}

impl<S, P> Stack<S, P> {
    /// The peer that it calls.
    pub(crate) fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// A handle to inspect the client and to force its breakers.
    pub(crate) fn monitor(&self) -> Monitor {
        Monitor::new(Arc::clone(&self.shared))
    }

    /// Calls the peer. Returns the answer together with its place in the bulkhead, which the caller keeps until the
    /// body has ended.
    ///
    /// # Errors
    /// See [`CallError`]; an answer of any status is `Ok`.
    pub(crate) async fn call<T>(
        &self,
        request: Request<RequestBody>,
    ) -> Result<(Response<T>, Permit), CallError>
    where
        S: Service<Request<RequestBody>, Response = Response<T>, Error = Failure> + Clone,
        P: Policy<Request<RequestBody>, Response<T>, AttemptError>,
    {
        let shared = &*self.shared;
        let given = patience::ours(&shared.peer.config);
        let own = given.deadline;
        let is_hurried = given.is_rest || Deadline::current().is_some_and(|callers| callers < own);
        let admitted = service_fn(|request| async move {
            shared.endpoints_known().await;
            let place = shared.bulkhead.acquire().await;
            let mut place = place.map_err(|rejected| {
                hop::refused(shared, self.wire, &request, "no_place");
                shared.rejected(&rejected)
            })?;
            let hearing = Hearing::open(&shared.breaker, is_hurried);
            let mut hearing = hearing.map_err(|rejected| {
                hop::refused(shared, self.wire, &request, "refused");
                shared.open(rejected)
            })?;
            let answer = hearing.of(self.layers.clone().oneshot(request)).await;
            hearing.tell(&mut place);
            Ok((answer.map_err(|error| shared.call_error(error))?, place))
        });
        let mut call = DeadlineLayer::new(own.remaining()).layer(admitted);
        call.call(request).await.map_err(|error| match error {
            DeadlineError::Inner(error) => error,
            DeadlineError::Exceeded { .. } => shared.timeout(),
        })
    }
}

impl<S, P> Clone for Stack<S, P>
where
    Layers<S, P>: Clone,
{
    fn clone(&self) -> Self {
        Self {
            layers: self.layers.clone(),
            wire: self.wire,
            shared: Arc::clone(&self.shared),
        }
    }
}
