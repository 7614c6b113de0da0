//! The server: limits, protocols, and the shutdown that loses nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use chassis::http::Options;
use chassis::{Shutdown, http, listen};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use socket2::SockRef;
use tokio::sync::{Notify, Semaphore};

use crate::support::eventually;
use crate::support::log;
use crate::support::raw::Raw;
use crate::support::server::Server;

/// Requests to `/held` wait until the test lets them go.
struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Notify>,
}

impl Gate {
    fn router() -> (Self, Router) {
        let gate = Self {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Notify::new()),
        };
        let (entered, open) = (Arc::clone(&gate.entered), Arc::clone(&gate.open));
        let held = move || {
            let (entered, open) = (Arc::clone(&entered), Arc::clone(&open));
            async move {
                let opened = open.notified();
                entered.add_permits(1);
                opened.await;
                "held\n"
            }
        };
        (
            gate,
            Router::new()
                .route("/held", get(held))
                .route("/", get(|| async { "here\n" })),
        )
    }

    async fn entered(&self, requests: u32) {
        self.entered.acquire_many(requests).await.unwrap().forget();
    }
}

const GET_HELD: &str = "GET /held HTTP/1.1\r\nhost: x\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Waits after the shutdown for as long as a busy machine may take to send what is to be answered. Who was answered is closed, so
/// that nothing lasts that long.
fn lingering() -> Options {
    Options {
        linger: Duration::from_secs(15),
        deadline: Duration::from_secs(30),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_shutdown_answers_every_request_in_flight() {
    let (gate, router) = Gate::router();
    let server = Server::plain(router, Options::default()).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Raw::connect(server.address).await;
        client.send(GET_HELD).await;
        clients.push(client);
    }
    gate.entered(50).await;
    server.shutdown.trigger();
    // No new connections: the port is closed while the old ones are still served.
    let address = server.address;
    eventually("the port is closed", || async move {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(!server.served.is_finished());
    gate.open.notify_waiters();
    for client in &mut clients {
        let answer = client.rest().await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("held\n"),
            "{answer}"
        );
        assert!(answer.contains("connection: close"), "{answer}");
    }
    server.stop().await;
}

/// As when the system has no descriptors left.
#[tokio::test(start_paused = true)]
async fn a_port_that_cannot_accept_tells_so_once_a_minute() {
    if !cfg!(target_os = "linux") {
        // Other systems shut no socket down that listens.
        return;
    }
    log::init();
    let listener = listen::bind("127.0.0.1", 0, "--http-port", "HTTP_PORT");
    let listener = listener.await.unwrap();
    // From now on each attempt fails.
    let socket = SockRef::from(&listener);
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    // It makes no room at the servers of other tests.
    let options = Options {
        reserved: true,
        ..Options::default()
    };
    let shutdown = Shutdown::manual();
    let serving = http::serve(listener, Router::new(), options, shutdown.clone());
    let served = tokio::spawn(serving);
    let told = || log::lines_with("connections cannot be accepted").len();
    // The clock stands still meanwhile.
    while told() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(told(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(told(), 2);
    shutdown.trigger();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_answers_what_waits_in_the_backlog() {
    let (_gate, router) = Gate::router();
    let server = Server::plain(router, lingering()).await;
    // The kernel makes these connections; the server, on this same thread, cannot have seen them.
    let waiting: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(server.address).unwrap())
        .collect();
    server.shutdown.trigger();
    let mut clients = Vec::new();
    for stream in waiting {
        stream.set_nonblocking(true).unwrap();
        let mut client = Raw(tokio::net::TcpStream::from_std(stream).unwrap());
        // All of them at once: what says nothing is closed after a while.
        client.send(GET).await;
        clients.push(client);
    }
    for mut client in clients {
        assert!(client.rest().await.ends_with("here\n"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_on_an_idle_connection_just_after_the_shutdown_is_answered() {
    let (_gate, router) = Gate::router();
    let server = Server::plain(router, lingering()).await;
    let mut idle = Raw::connect(server.address).await;
    idle.send(GET).await;
    assert!(idle.response().await.ends_with("here\n"));
    server.shutdown.trigger();
    // A load balancer that has not heard yet sends one more.
    idle.send(GET).await;
    let answer = idle.rest().await;
    assert!(
        answer.contains("200 OK") && answer.contains("connection: close"),
        "{answer}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_long_before_the_deadline() {
    let (_gate, router) = Gate::router();
    let server = Server::plain(router, Options::with_deadline(Duration::from_secs(60))).await;
    let mut used = Raw::connect(server.address).await;
    used.send(GET).await;
    used.response().await;
    let mut silent = Raw::connect(server.address).await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(30));
    for client in [&mut used, &mut silent] {
        assert!(client.closes_within(Duration::from_secs(5)).await);
    }
}

#[tokio::test]
async fn a_request_that_is_still_arriving_is_answered() {
    let (_gate, router) = Gate::router();
    let server = Server::plain(router, lingering()).await;
    let mut half = Raw::connect(server.address).await;
    half.send(&GET[..8]).await;
    let mut other = Raw::connect(server.address).await;
    other.send(GET).await;
    other.response().await;
    drop(other);
    server.shutdown.trigger();
    half.send(&GET[8..]).await;
    assert!(half.rest().await.ends_with("here\n"));
    server.stop().await;
}

#[tokio::test]
async fn the_deadline_cuts_off_what_does_not_end() {
    let (gate, router) = Gate::router();
    let server = Server::plain(router, Options::with_deadline(Duration::from_millis(300))).await;
    let mut client = Raw::connect(server.address).await;
    client.send(GET_HELD).await;
    gate.entered(1).await;
    server.stop().await;
    assert!(client.closes_within(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn http2_with_prior_knowledge_drains_too() {
    let (gate, router) = Gate::router();
    let server = Server::plain(router, Options::default()).await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Empty<&[u8]>>();
    let uri: axum::http::Uri = format!("http://{}/held", server.address).parse().unwrap();
    let requests: Vec<_> = (0..10)
        .map(|_| tokio::spawn(client.get(uri.clone())))
        .collect();
    gate.entered(10).await;
    server.shutdown.trigger();
    gate.open.notify_waiters();
    for request in requests {
        let response = request.await.unwrap().unwrap();
        assert_eq!(response.version(), axum::http::Version::HTTP_2);
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "held\n"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let (_gate, router) = Gate::router();
    let server = Server::plain(
        router,
        Options {
            max_connections: 1,
            ..Options::default()
        },
    )
    .await;
    let mut first = Raw::connect(server.address).await;
    first.send(GET).await;
    first.response().await;
    let mut second = Raw::connect(server.address).await;
    second.send(GET).await;
    assert!(
        !second.closes_within(Duration::from_millis(200)).await,
        "it waits"
    );
    drop(first);
    assert!(second.response().await.ends_with("here\n"));
    server.stop().await;
}

#[tokio::test]
async fn headers_that_never_come_end_the_connection() {
    let (_gate, router) = Gate::router();
    let options = Options {
        header_read_timeout: Duration::from_millis(200),
        ..Options::default()
    };
    let server = Server::plain(router, options).await;
    for begun in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut client = Raw::connect(server.address).await;
        client.send(begun).await;
        assert!(
            client.closes_within(Duration::from_secs(10)).await,
            "{begun:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_one_line_that_says_what_to_do() {
    let listener = listen::bind("127.0.0.1", 0, "--http-port", "HTTP_PORT")
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let fatal = listen::bind("127.0.0.1", port, "--http-port", "HTTP_PORT")
        .await
        .unwrap_err();
    assert_eq!(
        fatal.to_string(),
        format!(
            "port {port} is in use: stop what holds it, or choose another with --http-port or HTTP_PORT (0 takes any free one)"
        )
    );
}

/// The range of outgoing connections has services' ports in it, 50051 among them.
#[tokio::test]
async fn a_port_that_a_connection_has_taken_is_waited_for() {
    let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taking = tokio::net::TcpStream::connect(peer.local_addr().unwrap());
    let (taking, accepted) = tokio::join!(taking, peer.accept());
    let (taking, (accepted, _)) = (taking.unwrap(), accepted.unwrap());
    let port = taking.local_addr().unwrap().port();

    let binding = listen::bind("127.0.0.1", port, "--http-port", "HTTP_PORT");
    let mut binding = std::pin::pin!(binding);
    let early = tokio::time::timeout(Duration::from_millis(50), &mut binding).await;
    assert!(early.is_err(), "{early:?}");
    // The end that closes first keeps its port for a minute: the other one.
    drop(accepted);
    let mut taking = taking;
    let read = tokio::io::copy(&mut taking, &mut tokio::io::sink()).await;
    assert_eq!(read.unwrap(), 0);
    drop(taking);
    assert_eq!(binding.await.unwrap().local_addr().unwrap().port(), port);
}
