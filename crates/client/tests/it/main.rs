//! Calls against real sockets: what a healthy, a slow, a broken and an absent peer each cost.
#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod discovery;
mod dns;
mod grpc;
mod logs;
mod pool;
mod rest;
mod trace;

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use client::Peer;
use tokio::net::TcpListener;
use url::Url;

/// Long enough for any answer that comes at all.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);
/// What a test is ready to wait for an answer that never comes.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn peer(address: SocketAddr, timeout: Duration) -> Peer {
    Peer::new(
        "peer",
        Url::parse(&format!("http://{address}")).unwrap(),
        timeout,
    )
}

/// Serves `router` on a free port until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

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

#[test]
fn addresses_of_peers_are_checked_before_use() {
    assert!(client::parse_url("http://users:50051").is_ok());
    for bad in [
        "",
        "users:50051",
        "https://users",
        "mailto:a@b",
        "http://",
        "http://a?b=c",
        "127.0.0.1:80",
    ] {
        assert!(
            client::parse_url(bad)
                .unwrap_err()
                .contains("such as http://"),
            "{bad}"
        );
    }
}
