//! One gateway with fakes behind it, and a client in front.

mod client;
mod gateway;
mod goods;
mod socket;
mod tokens;
mod upstream;
mod users;

use std::future::pending;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

pub(crate) use client::{Answer, Call};
pub(crate) use gateway::{TestGateway, start, start_among, start_with_orders_at};
pub(crate) use goods::{FakeGoods, GOODS, REJECTED, UNLUCKY};
pub(crate) use socket::{PROTOCOL, Socket};
pub(crate) use tokens::{Issuer, token_for};
pub(crate) use upstream::{FakeShop, serve};
pub(crate) use users::FakeUsers;

/// A port that refuses connections until somebody listens on it, and that nobody else can have meanwhile.
pub(crate) fn unused() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

/// An address that refuses connections: its port is taken until the process ends, and nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let socket = unused();
    let address = socket.local_addr().unwrap();
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
