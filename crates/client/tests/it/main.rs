//! Calls against real sockets: what a healthy, a slow, a broken and an absent peer each cost.
#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod discovery;
mod dns;
mod events;
mod fake;
mod grpc;
mod judging;
mod layers;
mod logs;
mod plain;
mod pool;
mod rest;
mod trace;
mod undisturbed;

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use client::{Address, Peer};
use tokio::net::{TcpListener, TcpSocket};

pub(crate) use undisturbed::undisturbed;

/// Long enough for any answer that comes at all.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);
/// What a test is ready to wait for an answer that never comes.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn peer(address: SocketAddr, timeout: Duration) -> Peer {
    let within = format!("deadline={0}ms,attempt={0}ms", timeout.as_millis());
    peer_at(&format!("http://{address}"), &within)
}

/// A peer at an address as configuration has it, called as the line says.
pub(crate) fn peer_at(address: &str, config: &str) -> Peer {
    let address: Address = address.parse().unwrap();
    Peer::new("peer", address, config.parse().unwrap())
}

/// Serves `router` on a free port until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// An address that refuses connections until its socket listens. As long as that lives nobody else gets the port.
pub(crate) fn absent() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// An address that refuses connections for as long as this process lives.
pub(crate) async fn nobody() -> SocketAddr {
    let (address, socket) = absent();
    std::mem::forget(socket);
    address
}

/// Accepts connections and never says a word.
pub(crate) async fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
        pending::<()>().await;
    });
    address
}
