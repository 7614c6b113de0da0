//! The gRPC channel.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use resilience::timeout::{Timeout, TimeoutError};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower::Service;

use crate::{Peer, trace};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that carries calls is asked for a sign of life this often, so that a peer that vanished
/// without a word (a pulled cable, a paused container) is found out.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long that sign of life may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A gRPC channel to one peer: connects when first used and again when broken, bounds each call in time
/// and carries the trace along. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct GrpcChannel {
    inner: Timeout<Channel>,
    peer: &'static str,
}

/// A channel to `peer`. Nothing is connected yet, so a peer that is down is no reason not to start.
///
/// # Panics
/// Never for a URL with a host, which `http:` and `https:` URLs always have.
#[must_use]
pub fn grpc_channel(peer: Peer) -> GrpcChannel {
    let endpoint = Endpoint::from_shared(peer.base().to_owned())
        .expect("a URL with a host is a valid endpoint")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .tcp_nodelay(true);
    GrpcChannel {
        inner: Timeout::new(endpoint.connect_lazy(), peer.timeout),
        peer: peer.name,
    }
}

impl Service<http::Request<tonic::body::Body>> for GrpcChannel {
    type Response = http::Response<tonic::body::Body>;
    /// A status, since tonic takes it out of the error as it is; `Endpoint::timeout` would say CANCELLED,
    /// as if the caller had left.
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let peer = self.peer;
        self.inner
            .poll_ready(cx)
            .map_err(|error| status(peer, error))
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        trace::inject(request.headers_mut());
        let (call, peer) = (self.inner.call(request), self.peer);
        Box::pin(async move { call.await.map_err(|error| status(peer, error)) })
    }
}

fn status(peer: &str, error: TimeoutError<tonic::transport::Error>) -> Status {
    match error {
        TimeoutError::TimedOut(after) => {
            Status::deadline_exceeded(format!("{peer} did not answer within {after:?}"))
        }
        TimeoutError::Inner(error) => match Status::from_error(Box::new(error)) {
            // Whatever broke below the call (refused, reset, gone away) is a peer that is not there.
            // A call that hyper took and could not send before its connection broke is "cancelled".
            status if matches!(status.code(), tonic::Code::Unknown | tonic::Code::Cancelled) => {
                Status::unavailable(status.message())
            }
            status => status,
        },
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
