//! Requests to one peer over HTTP, streamed both ways: for a proxy, and as the basis of
//! [`RestClient`](crate::RestClient).

mod body;

use http::{Request, Response};
use resilience::fault::{FaultLayer, FaultService};
use resilience::retry::{Failed, HttpPolicy};
use tower::Layer;

use crate::body::RequestBody;
use crate::endpoint::{Answer, Http1Endpoint, Http1Endpoints};
use crate::failure::{AttemptError, Failure, injected, sort};
use crate::stack::{Monitor, Stack, Wire};
use crate::{CallError, Peer};

pub use body::{BodyError, PooledBody};

type Endpoint = FaultService<Http1Endpoint, fn() -> Result<Response<Answer>, Failure>>;
type Policy = HttpPolicy<fn(&AttemptError) -> Failed, fn(&RequestBody) -> Option<RequestBody>>;

/// Requests to one peer over HTTP/1.1, through all of its layers. Cheap to clone; clones share connections, limits
/// and breakers.
#[derive(Clone)]
pub struct HttpPool {
    stack: Stack<Endpoint, Policy>,
}

impl HttpPool {
    /// A pool for `peer`; it does not connect yet.
    ///
    /// # Panics
    /// If the peer's configuration cannot work and was not validated; and outside of a Tokio runtime.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        let endpoints = Http1Endpoints::new(&peer.address, &peer.config);
        let faults = peer.faults.clone().unwrap_or_default();
        let fault = FaultLayer::new(faults, peer.name, injected as fn() -> _);
        let make = move |address| fault.layer(endpoints.at(address));
        let policy = HttpPolicy::new(
            sort as fn(&AttemptError) -> Failed,
            RequestBody::copy as fn(&RequestBody) -> Option<RequestBody>,
        );
        Self {
            stack: Stack::new(peer, Wire::Http, policy, make),
        }
    }

    /// The peer that it calls.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.stack.peer()
    }

    /// A handle to inspect the client and to force its breakers.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.stack.monitor()
    }

    /// Sends a request and returns as soon as the head of the answer has arrived. Of the request's URI, the path and
    /// the query are sent unchanged; a caller that needs the peer's base path has to prepend it. The call counts as
    /// under way until the body has been read or dropped. A short body of known length is read at once, so that a slow
    /// reader does not hold one of the peer's places.
    ///
    /// Calls that are safe to repeat are retried: idempotent methods and requests with an `Idempotency-Key`, and only
    /// if the body is [whole](RequestBody::Whole).
    ///
    /// # Errors
    /// See [`CallError`]; an answer of any status is `Ok`.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<PooledBody>, CallError> {
        let (answer, permit) = self.stack.call(request).await?;
        let idle = self.peer().config.idle;
        let (head, body) = answer.into_parts();
        let body = PooledBody::new(body, permit, idle).settled().await;
        Ok(Response::from_parts(head, body))
    }
}
