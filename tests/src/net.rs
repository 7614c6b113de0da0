//! HTTP connections from chosen loopback addresses, so that clients on one machine have different addresses for limits that
//! count by address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

/// Below the ports that the kernel gives to outgoing connections: the load of the scenarios must not take the port of what is
/// just being started.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many are looked at before giving up.
const TRIES: usize = 1000;

/// Listens on a port that nobody else has, over IPv4 on all addresses (that is where the port of a container is published), and
/// over IPv6 on the loopback. It is for somebody else to listen there, so nobody is answered.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn listen() -> TcpListener {
    let over_both = || {
        let port = rand::random_range(PORTS);
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
        let over_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        let is_taken = over_ipv6.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
        (!is_taken).then_some(listener)
    };
    let found = std::iter::repeat_with(over_both)
        .take(TRIES)
        .flatten()
        .next();
    found.unwrap_or_else(|| panic!("no free port in {PORTS:?}"))
}

/// The loopback address with this last number; where the system has only one of them, that one.
#[must_use]
pub fn loopback(last: u8) -> IpAddr {
    let last = if cfg!(target_os = "linux") { last } else { 1 };
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// Where a base URL such as `http://127.0.0.1:8080` leads.
///
/// # Panics
/// When the URL has no address and port.
#[must_use]
pub fn address(url: &str) -> SocketAddr {
    let authority = url.split("://").last().unwrap_or_default();
    let authority = authority.split('/').next().unwrap_or_default();
    authority
        .parse()
        .unwrap_or_else(|_| panic!("{url} has no address"))
}

/// A connection from an address.
///
/// # Errors
/// When nobody takes it.
pub async fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One HTTP/1.1 connection. One that the server has closed between two requests, as it may, is opened again.
#[derive(Debug)]
pub struct Http1 {
    from: IpAddr,
    to: SocketAddr,
    host: String,
    send: SendRequest<Full<Bytes>>,
}

impl Http1 {
    /// A connection from an address.
    ///
    /// # Errors
    /// When nobody takes it.
    pub async fn open(from: IpAddr, to: SocketAddr) -> Result<Self, String> {
        let stream = connect(from, to)
            .await
            .map_err(|e| format!("no connection: {e}"))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (send, connection) = handshake.map_err(|e| format!("no connection: {e}"))?;
        tokio::spawn(connection);
        let host = to.to_string();
        Ok(Self {
            from,
            to,
            host,
            send,
        })
    }

    /// One request, and the answer with its whole body.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, String> {
        whole(self.ask(method, path, headers, body.into()).await?).await
    }

    /// One `GET` whose answer goes on: its head, and the body as it comes. Nothing else may be asked while that is read, and the
    /// connection is to be kept for as long.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn follow(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>, String> {
        self.ask("GET", path, headers, Bytes::new()).await
    }

    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        if self.send.ready().await.is_err() {
            *self = Self::open(self.from, self.to).await?;
        }
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|e| e.to_string())?;
        let answer = self.send.send_request(request).await;
        answer.map_err(|e| format!("no answer: {e}"))
    }
}

/// An answer with its body.
async fn whole(answer: Response<Incoming>) -> Result<Response<Bytes>, String> {
    let (head, body) = answer.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|e| format!("half an answer: {e}"))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
