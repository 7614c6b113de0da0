//! An endpoint over HTTP/2: one connection, opened on first use and reopened after it broke.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, Uri};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::body::RequestBody;
use crate::failure::Failure;
use crate::{Address, ClientConfig};

/// The interval of HTTP/2 keep-alive pings on a connection that carries calls. They detect a peer that disappeared
/// without closing the connection (a pulled cable, a paused container).
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the reply to a ping may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of headers that an answer may have: the same limit that our servers set for requests.
const HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;

/// Makes the endpoints of one peer.
#[derive(Debug, Clone)]
pub(crate) struct GrpcEndpoints {
    origin: Uri,
    connect_timeout: Duration,
}

impl GrpcEndpoints {
    pub(crate) fn new(address: &Address, config: &ClientConfig) -> Self {
        let origin = format!("http://{}{}", address.authority(), address.base_path());
        Self {
            origin: origin.parse().expect("an address is a URI"),
            connect_timeout: config.connect,
        }
    }

    pub(crate) fn channel(&self, address: SocketAddr) -> Channel {
        Endpoint::from_shared(format!("http://{address}"))
            .expect("a socket address is an authority")
            .origin(self.origin.clone())
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .tcp_nodelay(true)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .connect_lazy()
    }

    pub(crate) fn at(&self, address: SocketAddr) -> GrpcEndpoint {
        GrpcEndpoint {
            channel: self.channel(address),
        }
    }
}

/// An endpoint over HTTP/2.
#[derive(Debug, Clone)]
pub(crate) struct GrpcEndpoint {
    channel: Channel,
}

impl Service<Request<RequestBody>> for GrpcEndpoint {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = GrpcAnswer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.channel
            .poll_ready(cx)
            .map_err(|error| Failure::from_connection(&error))
    }

    fn call(&mut self, request: Request<RequestBody>) -> GrpcAnswer {
        GrpcAnswer {
            answer: self.channel.call(request.map(Body::new)),
        }
    }
}

pin_project! {
    /// The answer of a [`GrpcEndpoint`].
    #[derive(Debug)]
    pub(crate) struct GrpcAnswer {
        #[pin]
        answer: ResponseFuture,
    }
}

impl Future for GrpcAnswer {
    type Output = Result<Response<Body>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().answer.poll(cx));
        Poll::Ready(answer.map_err(|error| Failure::from_connection(&error)))
    }
}
