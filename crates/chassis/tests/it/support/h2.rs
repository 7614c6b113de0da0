//! HTTP/2 by hand: streams that send nothing, and windows that stay closed.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::http::{Method, Request};
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use tokio::net::TcpStream;

pub(crate) struct Connection(SendRequest<Bytes>);

/// A client that reads what comes.
pub(crate) async fn connect(address: SocketAddr) -> Connection {
    connect_with_window(address, 1 << 16).await
}

/// A client that takes `window` bytes of each answer, and more only as it says.
pub(crate) async fn connect_with_window(address: SocketAddr, window: u32) -> Connection {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(1 << 24)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(async move { connection.await.ok() });
    Connection(client)
}

impl Connection {
    /// Announces a body of this length, and sends none of it.
    pub(crate) fn post(
        &mut self,
        path: &str,
        length: usize,
    ) -> (SendStream<Bytes>, ResponseFuture) {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://test{path}"))
            .header("content-length", length)
            .body(())
            .unwrap();
        let (response, sender) = self.0.send_request(request, false).unwrap();
        (sender, response)
    }

    /// The answer to a request without a body, not read.
    pub(crate) fn begin(&mut self, path: &str) -> ResponseFuture {
        let uri = format!("http://test{path}");
        let request = Request::get(uri).body(()).unwrap();
        self.0.send_request(request, true).unwrap().0
    }

    /// The status of a whole exchange.
    pub(crate) async fn get(&mut self, path: &str) -> u16 {
        self.0.clone().ready().await.unwrap();
        let response = super::in_time(self.begin(path)).await.unwrap();
        response.status().as_u16()
    }
}
