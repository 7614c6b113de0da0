//! The server: HTTP/1.1 and HTTP/2 (prior knowledge) on one port, with limits, and with a shutdown that loses no
//! request.
//!
//! `axum::serve` is not used: it has no limit on connections, no timeout for headers that do not arrive, and no
//! deadline for its graceful shutdown.

mod accept;
mod crowd;
mod handed;
mod heads;
mod held;
mod places;
mod reader;
mod shared;
mod signals;
mod unfinished;
mod unread;
mod waiting;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use futures::StreamExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt;

use super::streams::OpenEnded;
use crate::arrival::Sender;
use crate::problem::{Problem, RELATIVE_TYPES};
use crate::proxies::{Origin, TrustedProxies};
use crate::{Fatal, Shutdown};
use accept::{Told, accept, backlog};
use crowd::{Crowd, Guest, Open};
use heads::Head;
use held::Held;
use places::{Place, Places};
use reader::{Outgoing, Patient, SEND_BUFFER, Streams};
use signals::{Signal, signals};

pub use reader::READER_PATIENCE;
pub use unfinished::Unfinished;

/// How long the headers of a request may take to arrive, and how long a connection may stay idle between requests.
/// Clients must close idle connections *earlier*; otherwise their next request may be sent while the server closes the
/// connection.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The most requests that one HTTP/2 connection may have under way: more than a browser opens, and as many as the
/// gateway has under way to one peer by default.
const MAX_CONCURRENT_STREAMS: u32 = 256;
/// The most calls of a trusted peer's HTTP/2 connection that may be cancelled before the server has looked at them; one
/// more ends the connection, with all calls on it. For others h2's own limit of 20 stays, which is meant for one bad client
/// (rapid reset, CVE-2023-44487): the calls of a gateway are those of many, and while this process is behind with its
/// work, all that run out of time are cancelled at once. Four times as many as can be under way.
const CANCELLED_MAX: usize = 4 * MAX_CONCURRENT_STREAMS as usize;
/// How long an HTTP/2 connection of an untrusted peer may be idle between requests. For HTTP/1.1 it is
/// [`HEADER_READ_TIMEOUT`].
const H2_IDLE: Duration = Duration::from_secs(120);
/// The retry delay of a request that was refused because there was no place for it.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The interval of HTTP/2 pings; a peer that does not answer one within this time is considered gone.
const H2_PING: Duration = Duration::from_secs(20);

/// Limits of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long accepted requests may go on after the shutdown began; then they are cut off.
    pub deadline: Duration,
    /// How long idle HTTP/1.1 connections stay open after the shutdown began. A request that arrives in that time is
    /// answered, with `Connection: close`; closing at once would reset it.
    pub linger: Duration,
    /// The most connections at a time. For one more, the one that is idle longest is closed; if none is idle, the new
    /// one waits.
    pub max_connections: usize,
    /// The most connections of one address. For one more, the one of this address that is idle longest is closed; if
    /// none is idle, the new one is refused.
    pub max_connections_per_address: usize,
    /// The most unfinished requests of one address; over IPv6, of one site ([`crate::proxies::Site`]). For one more, the one that has been stalled longest ends: a body
    /// that does not arrive (408), or an answer that the client does not read. If none is stalled, the new one is
    /// refused with 503.
    pub max_requests_per_address: usize,
    /// The most bytes of unfinished heads of one address. Beyond it, the connection that has waited longest for the rest of
    /// its head is closed.
    pub max_head_bytes_per_address: usize,
    /// Peers that are exempt from limits by address.
    pub trusted_proxies: TrustedProxies,
    /// This server's connections do not take from the descriptors that all other servers of the process share, so that
    /// it can answer when those are used up. Only for servers with few connections.
    pub reserved: bool,
    /// See [`READER_PATIENCE`].
    pub reader_patience: Duration,
    /// See [`HEADER_READ_TIMEOUT`].
    pub header_read_timeout: Duration,
    /// The prefix of the `type` of the server's own refusals ([`crate::ServiceInfo::problem_types`]).
    pub problem_types: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(4),
            linger: Duration::from_millis(250),
            max_connections: 10_000,
            max_connections_per_address: 5_000,
            max_requests_per_address: 1_024,
            max_head_bytes_per_address: 16 * 1024 * 1024,
            trusted_proxies: TrustedProxies::default(),
            reserved: false,
            reader_patience: READER_PATIENCE,
            header_read_timeout: HEADER_READ_TIMEOUT,
            problem_types: RELATIVE_TYPES,
        }
    }
}

impl Options {
    /// The default options with this deadline.
    pub fn with_deadline(deadline: Duration) -> Self {
        Self {
            deadline,
            ..Self::default()
        }
    }
}

/// Serves until the shutdown, and then until all requests are answered or the deadline has passed.
///
/// 1. the connections that wait in the backlog are accepted, then the port is closed;
/// 2. HTTP/1.1 answers carry `Connection: close`; after [`Options::linger`] idle connections are
///    closed and HTTP/2 clients are told to go away (GOAWAY);
/// 3. at the deadline the remaining connections are cut off, with a WARN that gives their number.
///
/// A connection that has changed its protocol (101) keeps its places until whoever took it over drops it, counts as busy, and
/// is cut off like the others. Its new owner tells its peer of the shutdown.
///
/// # Errors
/// If the address of the listener cannot be read, because it is no longer a socket.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: Options,
    shutdown: Shutdown,
) -> Result<(), Fatal> {
    let address = listener.local_addr()?;
    let drained = shutdown.drain_guard();
    let crowd = Crowd::new(
        options.max_connections_per_address,
        options.max_requests_per_address,
    );
    let places = Places::new(options.max_connections, options.reserved, &crowd);
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    // Connections end when this future is dropped, for whatever reason.
    let _cut_off = cut_off.clone().drop_guard();
    let server = Server {
        crowd,
        // Here and not at each request: until then a handler is kept beside its layers, and is put into them.
        router: router.with_state(()),
        options: Arc::new(options),
        shutdown: shutdown.clone(),
        cut_off,
    };

    let begin = |stream, place| {
        if let Some(guest) = server.receive(&stream) {
            let tracked = connections.token();
            tokio::spawn(server.clone().connection(stream, guest, place, tracked));
        }
    };
    let mut told = Told::default();
    while let Some((stream, place)) = accept(&listener, &places, &shutdown, &mut told).await {
        begin(stream, place);
    }
    for stream in backlog(listener) {
        let Some(place) = places.try_take() else {
            break;
        };
        begin(stream, place);
    }
    server.drain(&connections, address).await;
    drop(drained);
    Ok(())
}

/// What hyper is told, for a connection of a trusted peer or of any other.
fn builder(options: &Options, streams: Streams, is_trusted: bool) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        // It is also the most that is read of a body at once, and that is written before the rest of an answer is made.
        .max_buf_size(super::intake::HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(super::intake::HEADER_LIST_BYTES_MAX)
        .adaptive_window(true)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    if is_trusted {
        builder
            .http2()
            .max_pending_accept_reset_streams(CANCELLED_MAX);
    }
    builder
}

#[derive(Clone)]
struct Server {
    crowd: Arc<Crowd>,
    router: Router,
    options: Arc<Options>,
    shutdown: Shutdown,
    cut_off: CancellationToken,
}

impl Server {
    /// Waits until all requests are answered, and cuts off those that are not by the deadline.
    async fn drain(&self, connections: &TaskTracker, address: SocketAddr) {
        connections.close();
        let deadline = self.options.deadline;
        let all_answered = tokio::time::timeout(deadline, connections.wait()).await;
        if all_answered.is_err() {
            tracing::warn!(%address, connections = connections.len(), deadline_ms = deadline.as_millis(), "connections cut off at the shutdown deadline");
            self.cut_off.cancel();
            connections.wait().await;
        }
    }

    /// Counts the connection. `None` if its address has reached its limit and all its connections are busy.
    fn receive(&self, stream: &TcpStream) -> Option<Guest> {
        let peer = stream.peer_addr().ok()?.ip();
        let is_exempt = self.options.trusted_proxies.contains(peer);
        let guest = self.crowd.enter((!is_exempt).then(|| Origin::from(peer)));
        if guest.is_none() {
            tracing::debug!(%peer, "refused a connection: its address has too many, all of them busy");
        }
        guest
    }

    /// Answers the requests of one connection: each counts for it from its head to the end of its answer.
    fn answers(
        &self,
        guest: &Guest,
        client: Option<ConnectInfo<SocketAddr>>,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = Response<Outgoing>,
        Error = Infallible,
        Future: Send,
    > + use<> {
        // In one piece: to copy a signal takes a lock that all connections share.
        let (router, shutdown) = (self.router.clone(), Arc::new(self.shutdown.clone()));
        let (crowd, counted) = (Arc::clone(&self.crowd), Arc::clone(&guest.connection));
        let problem_types = self.options.problem_types;
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let open = Open::begin(&crowd, &counted);
            if !request.body().is_end_stream() {
                request.extensions_mut().insert(Sender {
                    origin: counted.origin,
                    line: Some(crowd.senders.clone()),
                });
            }
            if let Some(unfinished) = Unfinished::of(request.headers(), &counted) {
                request.extensions_mut().insert(unfinished);
            }
            let (router, shutdown) = (router.clone(), Arc::clone(&shutdown));
            answer(router, request, client, shutdown, open, problem_types)
        })
    }

    fn builder(&self, guest: &Guest) -> Builder<Streams> {
        let streams = Streams {
            crowd: Arc::clone(&self.crowd),
            connection: Arc::clone(&guest.connection),
            patience: self.options.reader_patience,
        };
        // Only those who are not exempt have an origin.
        let is_trusted = guest.connection.origin.is_none();
        builder(&self.options, streams, is_trusted)
    }

    fn socket(&self, stream: TcpStream, held: &Arc<Held>) -> Patient {
        let head = Head::new(self.options.max_head_bytes_per_address);
        let patience = self.options.reader_patience;
        Patient::new(stream, patience, head, Arc::clone(held))
    }

    async fn connection(
        self,
        stream: TcpStream,
        guest: Guest,
        place: Place,
        tracked: TaskTrackerToken,
    ) {
        tune(&stream);
        let client = stream.peer_addr().ok().map(ConnectInfo);
        let builder = self.builder(&guest);
        let service = self.answers(&guest, client);
        let held = Arc::new(Held::new(guest, self.cut_off.clone(), place, tracked));
        let guest = &held.guest;
        let io = TokioIo::new(self.socket(stream, &held));
        let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
        let mut look = pin!(tokio::time::sleep(self.options.header_read_timeout));
        let mut signals = signals(&self.cut_off, &self.shutdown, self.options.linger);
        let mut leaving = false;
        loop {
            tokio::select! {
                // An error here is caused by the peer: it disconnected, or did not speak HTTP.
                _ = connection.as_mut() => return,
                Some(signal) = signals.next() => match signal {
                    Signal::CutOff => return,
                    Signal::Stop => connection.as_mut().graceful_shutdown(),
                },
                // The connection was chosen to make room while it was idle, or waited for its reader. A request that arrived
                // since is still answered.
                () = poll_fn(|cx| guest.connection.seat.poll_ended(cx)), if !leaving => {
                    if guest.connection.is_at_rest() {
                        return;
                    }
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's own header timeout starts only with HTTP/1.1; before that (the first bytes decide the HTTP
                // version) a silent peer would hold its place for ever. And hyper has no idle timeout for HTTP/2.
                () = &mut look => {
                    if is_mute(guest) {
                        connection.as_mut().graceful_shutdown();
                    }
                    look.as_mut().reset(Instant::now() + self.options.header_read_timeout);
                }
            }
        }
    }
}

fn tune(stream: &TcpStream) {
    // Answers are written in one piece; waiting to fill packets would only add latency.
    stream.set_nodelay(true).ok();
    SockRef::from(stream).set_send_buffer_size(SEND_BUFFER).ok();
}

/// Whether the peer has said nothing yet, or has nothing under way for longer than an idle connection may stay.
fn is_mute(guest: &Guest) -> bool {
    let is_resting = guest.connection.origin.is_some() && guest.idle() >= H2_IDLE;
    !guest.spoke() || is_resting
}

async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    client: Option<ConnectInfo<SocketAddr>>,
    shutdown: Arc<Shutdown>,
    mut open: Open,
    problem_types: &str,
) -> Result<Response<Outgoing>, Infallible> {
    let persistent = request.version() == Version::HTTP_11;
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let mut response = if open.is_admitted().await {
        router.oneshot(request.map(Body::new)).await?
    } else {
        Problem::overloaded(RETRY_AFTER).respond(problem_types, None)
    };
    if response.extensions_mut().remove::<OpenEnded>().is_some() {
        open.leave_count();
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        open.go_on();
    }
    // An upgrade (101) has its own `Connection` header.
    if persistent && shutdown.is_triggered() && !response.status().is_informational() {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Outgoing::new(body, open)))
}
