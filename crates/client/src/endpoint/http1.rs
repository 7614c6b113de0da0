//! An endpoint over HTTP/1.1.
//!
//! HTTP/1.1 and not HTTP/2: between two services in one network a connection for each request in flight is
//! cheap, costs less CPU than framing and flow control, and one slow answer cannot hold up its neighbours.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::Service;
use tower::util::MapResponse;

use crate::body::RequestBody;
use crate::error::root_cause;
use crate::failure::Failure;
use crate::{Address, ClientConfig};

/// How long an unused connection is kept. Shorter than the peer keeps it, so that the peer does not close it while a
/// request is being written.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// The longest answer that is read whole unless the call says otherwise, in bytes. A page of a list is shorter.
pub const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// An extension of a request: the answer's body is read to its end as part of the attempt. A connection that breaks
/// within the body is then a failed attempt like any other and can be retried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadWhole {
    /// The longest answer that is read, in bytes.
    pub(crate) bytes_max: usize,
}

impl Default for ReadWhole {
    fn default() -> Self {
        Self {
            bytes_max: MAX_RESPONSE_BYTES,
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A body that is read by the caller while it arrives.
    Stream(Incoming),
    /// A body that was read completely, because [`ReadWhole`] was set.
    Whole(Bytes),
}

/// Connects, and sets what a connection needs.
type Connector = MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> TokioIo<TcpStream>>;

/// Makes the endpoints of one peer, which share a pool of connections.
#[derive(Debug, Clone)]
pub(crate) struct Http1Endpoints {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client<Connector, RequestBody>,
    host: HeaderValue,
}

impl Http1Endpoints {
    pub(crate) fn new(address: &Address, config: &ClientConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.connect));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            // The most connections that can be in use at once, by the bulkhead.
            .pool_max_idle_per_host(config.bulkhead.max_in_flight)
            .build(Connector::new(connector, without_time_wait));
        let host = HeaderValue::from_str(address.authority().as_str())
            .expect("an authority is a header value");
        Self {
            shared: Arc::new(Shared { client, host }),
        }
    }

    pub(crate) fn at(&self, address: SocketAddr) -> Http1Endpoint {
        let authority = Authority::try_from(address.to_string());
        Http1Endpoint {
            shared: Arc::clone(&self.shared),
            authority: authority.expect("a socket address is an authority"),
        }
    }
}

/// Lets a connection end by a reset when it is closed, so that its port is free at once.
///
/// A call that is abandoned closes its connection, and who closes one first keeps its port for a minute (`TIME_WAIT`). A client
/// that begins 500 requests a second and hangs up would use up all ports that there are to this peer, some 28,000, and nobody
/// could connect. Nothing is lost: what is closed is idle, or nobody waits for its answer any more.
fn without_time_wait(connection: TokioIo<TcpStream>) -> TokioIo<TcpStream> {
    // Without it the connection works as well.
    let _ = connection.inner().set_zero_linger();
    connection
}

/// An endpoint over HTTP/1.1. Of a request's URI it uses only the path and the query.
#[derive(Debug, Clone)]
pub(crate) struct Http1Endpoint {
    shared: Arc<Shared>,
    authority: Authority,
}

impl Service<Request<RequestBody>> for Http1Endpoint {
    type Response = Response<Answer>;
    type Error = Failure;
    /// Boxed: hyper's own future is boxed as well, and the cost is negligible beside that of a connection.
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        let path = request.uri().path_and_query().cloned();
        uri.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(uri).expect("it has all of its parts");
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().insert(HOST, self.shared.host.clone());
        let read_whole = request.extensions_mut().remove::<ReadWhole>();
        let answer = self.shared.client.request(request);
        Box::pin(async move {
            let answer = answer
                .await
                .map_err(|error| Failure::from_connection(&error))?;
            match read_whole {
                Some(ReadWhole { bytes_max }) => whole(answer, bytes_max).await,
                None => Ok(answer.map(Answer::Stream)),
            }
        })
    }
}

async fn whole(answer: Response<Incoming>, bytes_max: usize) -> Result<Response<Answer>, Failure> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, bytes_max).collect().await;
    let bytes = body
        .map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                Failure::TooLong(error.to_string())
            } else {
                Failure::Broken(root_cause(&*error))
            }
        })?
        .to_bytes();
    Ok(Response::from_parts(head, Answer::Whole(bytes)))
}
