//! The server: HTTP/1.1 and HTTP/2 (prior knowledge) on one port, limited, and stopped without
//! losing a request.
//!
//! `axum::serve` is not used: it has no limit on connections, no timeout for headers that never
//! come, and no deadline for its graceful shutdown.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::{Fatal, Shutdown};

/// How long the headers of a request may take to arrive, and how long a connection may stay idle
/// between requests. Clients must give up idle connections *earlier*, or their next request can
/// meet the closing.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The most requests that one HTTP/2 connection may have under way.
const MAX_CONCURRENT_STREAMS: u32 = 1000;
/// A peer that does not answer an HTTP/2 ping sent this often is gone.
const H2_PING: Duration = Duration::from_secs(20);
/// The most connections taken over from the kernel's backlog once the shutdown has begun.
const BACKLOG: usize = 4096;
/// Pause after an accept failed for want of file descriptors; the kernel keeps the backlog meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long requests that were taken may go on after the shutdown began; then they are cut off.
    pub deadline: Duration,
    /// How long idle HTTP/1.1 connections stay open after the shutdown began. A request that is on
    /// its way meanwhile is answered, with `Connection: close`; closing at once would reset it.
    pub linger: Duration,
    /// The most connections at a time; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// See [`HEADER_READ_TIMEOUT`].
    pub header_read_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(4),
            linger: Duration::from_millis(250),
            max_connections: 10_000,
            header_read_timeout: HEADER_READ_TIMEOUT,
        }
    }
}

impl Options {
    /// The defaults with another deadline.
    pub fn with_deadline(deadline: Duration) -> Self {
        Self {
            deadline,
            ..Self::default()
        }
    }
}

/// Serves until the shutdown, and then until all requests are answered or the deadline has passed.
///
/// 1. the connections that wait in the backlog are taken over, then the port is closed;
/// 2. HTTP/1.1 answers carry `Connection: close`; after [`Options::linger`] idle connections are
///    closed and HTTP/2 clients are told to go away (GOAWAY);
/// 3. at the deadline what is left is cut off, with a WARN that says how many.
///
/// # Errors
/// If the address of the listener cannot be read: it is no socket any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: Options,
    shutdown: Shutdown,
) -> Result<(), Fatal> {
    let address = listener.local_addr()?;
    let door = shutdown.open_door();
    let places = Arc::new(Semaphore::new(options.max_connections));
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    // Connections end with this future, however it ends.
    let _cut_off = cut_off.clone().drop_guard();
    let server = Server {
        builder: Arc::new(builder(&options)),
        router,
        options,
        shutdown: shutdown.clone(),
        cut_off,
    };

    while let Some(stream) = accept(&listener, &places, &shutdown).await {
        connections.spawn(server.clone().connection(stream));
    }
    for stream in backlog(listener) {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            break;
        };
        connections.spawn(server.clone().connection((stream, place)));
    }
    connections.close();
    if tokio::time::timeout(options.deadline, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(%address, connections = connections.len(), deadline_ms = options.deadline.as_millis(), "cut off");
        server.cut_off.cancel();
        connections.wait().await;
    }
    drop(door);
    Ok(())
}

/// What the kernel has accepted for us already, and then the closed port. Asks the kernel itself:
/// tokio may not have heard of these connections yet.
fn backlog(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    std::iter::from_fn(move || {
        let (stream, _) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    })
    .take(BACKLOG)
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next connection and its place; none once the shutdown has begun.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &Shutdown,
) -> Option<(TcpStream, Place)> {
    let next = async {
        // The place first: a connection that cannot be served is better kept by the kernel.
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        next = next => next,
    }
}

/// The peer was gone before we looked: no reason to pause.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(super::intake::HEADER_LIST_BYTES_MAX)
        .adaptive_window(true)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}

#[derive(Clone)]
struct Server {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    options: Options,
    shutdown: Shutdown,
    cut_off: CancellationToken,
}

impl Server {
    async fn connection(self, (stream, _place): (TcpStream, Place)) {
        // Answers are written whole; waiting to fill packets only adds latency.
        stream.set_nodelay(true).ok();
        let client = stream.peer_addr().ok().map(ConnectInfo);
        let spoke = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&spoke);
        let (router, shutdown) = (self.router.clone(), self.shutdown.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            answer(router.clone(), request, client, shutdown.clone())
        });
        let mut connection = pin!(
            self.builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
        );
        let mut silence = pin!(tokio::time::sleep(self.options.header_read_timeout));
        let mut silent = true;
        let mut stop = pin!(async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.options.linger).await;
        });
        let mut stopping = false;
        loop {
            tokio::select! {
                // An error here is the peer's: it went away, or did not speak HTTP.
                _ = connection.as_mut() => return,
                () = self.cut_off.cancelled() => return,
                () = &mut stop, if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's own timeout starts with HTTP/1.1; before that (the first bytes decide
                // which HTTP it is) a silent peer would hold its place for ever.
                () = &mut silence, if silent => {
                    silent = false;
                    if !spoke.load(Ordering::Relaxed) {
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    client: Option<ConnectInfo<SocketAddr>>,
    shutdown: Shutdown,
) -> Result<Response<Body>, Infallible> {
    let persistent = request.version() == Version::HTTP_11;
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let mut response = router.oneshot(request.map(Body::new)).await?;
    // An upgrade (101) has its own `Connection` header.
    if persistent && shutdown.is_triggered() && !response.status().is_informational() {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
