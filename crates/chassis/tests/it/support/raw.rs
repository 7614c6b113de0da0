//! HTTP by hand: what a client library would hide.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// A connection whose own system keeps little: what the server does not read stays unsent.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(64 * 1024).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
    }

    /// Reads until the other side closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut text = Vec::new();
        let read = self.0.read_to_end(&mut text);
        tokio::time::timeout(super::PATIENCE, read)
            .await
            .expect("the server closes")
            .expect("no reset");
        String::from_utf8(text).unwrap()
    }

    /// Reads one response that has a `Content-Length`.
    pub(crate) async fn response(&mut self) -> String {
        let read = async {
            let mut text = Vec::new();
            let mut byte = [0];
            loop {
                assert_eq!(
                    self.0.read(&mut byte).await.expect("no reset"),
                    1,
                    "closed early"
                );
                text.push(byte[0]);
                if text.ends_with(b"\r\n\r\n") {
                    break;
                }
            }
            let head = String::from_utf8(text).unwrap().to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.expect("no reset");
            head + &String::from_utf8(body).unwrap()
        };
        tokio::time::timeout(super::PATIENCE, read)
            .await
            .expect("a response")
    }

    /// Whether the server closes the connection within `time`.
    pub(crate) async fn closes_within(&mut self, time: Duration) -> bool {
        let mut byte = [0];
        matches!(
            tokio::time::timeout(time, self.0.read(&mut byte)).await,
            Ok(Ok(0) | Err(_))
        )
    }
}
