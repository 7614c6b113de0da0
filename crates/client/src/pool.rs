//! Pooled HTTP/1.1 connections to one peer, bounded in number and time.
//!
//! HTTP/1.1 and not HTTP/2: between two services in one network a connection for each request in flight is
//! cheap, costs less CPU than framing and flow control, and one slow answer cannot hold up its neighbours.

mod body;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::CallError;
use crate::error::root_cause;

pub use body::{BodyError, PooledBody};

/// The limits of a pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long until the answer's head is there, waiting for a free connection included.
    pub answer_timeout: Duration,
    /// How long an answer's body may pause.
    pub body_idle_timeout: Duration,
    /// How long an unused connection is kept. Shorter than the peer keeps it, so that it is not the peer
    /// who closes it under a request.
    pub idle_timeout: Duration,
    /// Connections in use at once; who comes after them waits.
    pub max_connections: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(5),
            body_idle_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(20),
            max_connections: 1024,
        }
    }
}

/// Connections to one peer. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct HttpPool<B> {
    peer: Arc<str>,
    client: Client<HttpConnector, B>,
    slots: Arc<Semaphore>,
    options: Arc<PoolOptions>,
}

impl<B> HttpPool<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A pool for the peer of this name; nothing is connected yet.
    #[must_use]
    pub fn new(peer: &str, options: PoolOptions) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.connect_timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_connections)
            .build(connector);
        Self {
            peer: peer.into(),
            client,
            slots: Arc::new(Semaphore::new(options.max_connections)),
            options: Arc::new(options),
        }
    }

    /// The peer's name.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Sends a request with an absolute URI and answers as soon as the answer's head is there. The
    /// connection counts as in use until the body has been read or dropped.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if no connection came about or it broke; [`CallError::Timeout`].
    pub async fn send(&self, request: Request<B>) -> Result<Response<PooledBody>, CallError> {
        let deadline = Instant::now() + self.options.answer_timeout;
        let answer = async {
            let slot = match self.slots.clone().try_acquire_owned() {
                Ok(slot) => slot,
                Err(_) => timeout_at(deadline, self.slots.clone().acquire_owned())
                    .await
                    .map_err(|_| {
                        CallError::unavailable(&self.peer, "all connections to it are in use")
                    })?
                    .map_err(|closed| CallError::unavailable(&self.peer, closed))?,
            };
            let answer = timeout_at(deadline, self.client.request(request))
                .await
                .map_err(|_| CallError::Timeout {
                    peer: self.peer.to_string(),
                })?
                .map_err(|error| self.failed(&error))?;
            Ok(answer.map(|body| PooledBody::new(body, slot, self.options.body_idle_timeout)))
        };
        answer.await
    }

    fn failed(&self, error: &hyper_util::client::legacy::Error) -> CallError {
        let cause = root_cause(error);
        if is_own_body(error) {
            return CallError::Aborted {
                peer: self.peer.to_string(),
                detail: cause,
            };
        }
        let stage = if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        CallError::unavailable(&self.peer, format_args!("{stage}: {cause}"))
    }
}

/// Whether it is the body that we were sending which failed, and not the connection.
fn is_own_body(error: &hyper_util::client::legacy::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_user)
}
