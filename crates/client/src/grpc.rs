//! The gRPC channel.

mod body;

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use resilience::fault::{FaultLayer, FaultService};
use resilience::retry::{Failed, GrpcPolicy};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};
use tower::{Layer, Service};

use crate::body::RequestBody;
use crate::endpoint::{GrpcEndpoint, GrpcEndpoints};
use crate::failure::{AttemptError, Failure, injected, sort};
use crate::pushback::retry_info;
use crate::stack::{Monitor, Stack, Wire};
use crate::{CallError, Peer, trace};

pub use body::HeldBody;

type Endpoint = FaultService<GrpcEndpoint, fn() -> Result<Response<tonic::body::Body>, Failure>>;
type Policy = GrpcPolicy<
    fn(&AttemptError) -> Failed,
    fn(&RequestBody) -> Option<RequestBody>,
    fn(&str) -> bool,
>;

/// A gRPC channel to one peer, through all of its layers. It has one connection for each endpoint, opened on first use
/// and reopened after it broke. Generated clients are built on it. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct GrpcChannel {
    stack: Stack<Endpoint, Policy>,
}

impl GrpcChannel {
    /// A channel to `peer`. It does not connect yet, so that a service can start while its peer is down.
    ///
    /// `repeatable` says which methods are safe to repeat, by their path such as `/agora.users.v1.UserService/GetUser`:
    /// nothing in a gRPC call tells, so the code that knows the service has to.
    ///
    /// # Panics
    /// If the peer's configuration cannot work and was not validated; and outside of a Tokio runtime.
    #[must_use]
    pub fn new(peer: Peer, repeatable: fn(&str) -> bool) -> Self {
        let endpoints = GrpcEndpoints::new(&peer.address, &peer.config);
        let faults = peer.faults.clone().unwrap_or_default();
        let fault = FaultLayer::new(faults, peer.name, injected as fn() -> _);
        let make = move |address| fault.layer(endpoints.at(address));
        let policy = GrpcPolicy::new(
            sort as fn(&AttemptError) -> Failed,
            RequestBody::copy as fn(&RequestBody) -> Option<RequestBody>,
            repeatable,
        );
        let policy = policy.with_retry_info(retry_info);
        Self {
            stack: Stack::new(peer, Wire::Grpc, policy, make),
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
}

impl std::fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcChannel")
            .field("peer", self.peer())
            .finish_non_exhaustive()
    }
}

impl Service<http::Request<tonic::body::Body>> for GrpcChannel {
    type Response = Response<HeldBody>;
    /// A status, since tonic takes it out of the error unchanged. Its source is the original [`CallError`], for
    /// [`CallError::from_status`].
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    /// Always ready: the call itself waits for what it needs, within its deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        trace::inject(request.headers_mut());
        let stack = self.stack.clone();
        Box::pin(async move {
            let request = request.map(RequestBody::ready);
            let (answer, permit) = stack.call(request).await.map_err(CallError::into_status)?;
            let idle = stack.peer().config.idle;
            Ok(answer.map(|body| HeldBody::new(body, permit, idle)))
        })
    }
}

/// A request on behalf of the caller with this token.
pub fn authorized<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    // A token with bytes that no header can hold is no valid token: the peer answers UNAUTHENTICATED.
    if let Ok(mut value) = MetadataValue::<Ascii>::try_from(format!("Bearer {token}")) {
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    request
}
