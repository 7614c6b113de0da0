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

use tokio::net::TcpListener;

pub(crate) use client::{Answer, Call};
pub(crate) use gateway::{TestGateway, start, start_among, start_with_orders_at};
pub(crate) use goods::{FakeGoods, GOODS, REJECTED, UNLUCKY};
pub(crate) use socket::{PROTOCOL, Socket};
pub(crate) use tokens::{Issuer, token_for};
pub(crate) use upstream::{FakeShop, serve};
pub(crate) use users::FakeUsers;

/// An address that refuses connections.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
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
