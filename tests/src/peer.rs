//! Somebody who speaks to a sidecar as another sidecar does, with certificates of their choice.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki_types::pem::PemObject;
use pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(30);

/// What somebody shows, and whom they trust; all of it PEM.
#[derive(Clone, Debug)]
pub struct Papers {
    /// Their certificate and its key; none, if they show nothing.
    pub own: Option<(String, String)>,
    /// The authorities whose certificates they accept.
    pub authorities: String,
}

/// An answer, whoever gave it.
#[derive(Debug)]
pub struct Heard {
    /// The status of HTTP.
    pub status: u16,
    /// Headers, and trailers, where gRPC has its status.
    pub headers: HeaderMap,
    /// The body, if it is text.
    pub text: String,
    /// The serial number and all else of the certificate that was shown.
    pub certificate: Vec<u8>,
}

impl Heard {
    /// Whether a sidecar refused it because of who asked.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let denied = "RBAC: access denied";
        let by_grpc = self.headers.get("grpc-status").is_some_and(|s| s == "7")
            && self
                .headers
                .get("grpc-message")
                .is_some_and(|m| m == denied);
        by_grpc || (self.status == 403 && self.text == denied)
    }

    /// Whether a service has answered, and not a sidecar that did not reach it.
    #[must_use]
    pub fn is_a_services(&self) -> bool {
        let failed = self.headers.contains_key("x-mesh-unreached");
        !self.is_forbidden() && !failed && !(502..=504).contains(&self.status)
    }
}

/// `GET` over HTTP/1.1.
///
/// # Errors
/// When there is no answer: the connection was refused, by TCP or TLS.
pub async fn get(at: SocketAddr, service: &str, papers: &Papers, path: &str) -> io::Result<Heard> {
    in_time(async {
        let (stream, certificate) = connect(at, service, papers, b"http/1.1").await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(other)?;
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(Empty::<Bytes>::new()).map_err(other)?;
        let answer = sender.send_request(request).await.map_err(other)?;
        heard(answer, certificate).await
    })
    .await
}

/// A call of a gRPC method that no service has.
///
/// # Errors
/// When there is no answer: the connection was refused, by TCP or TLS.
pub async fn call(at: SocketAddr, service: &str, papers: &Papers) -> io::Result<Heard> {
    in_time(async {
        let (stream, certificate) = connect(at, service, papers, b"h2").await?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(other)?;
        tokio::spawn(connection);
        let request = Request::post(format!("https://{service}/agora.Nothing/Nothing"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let request = request.body(Empty::<Bytes>::new()).map_err(other)?;
        let answer = sender.send_request(request).await.map_err(other)?;
        heard(answer, certificate).await
    })
    .await
}

/// Whether somebody who has been answered comes back by the session of then, for which nobody looks at certificates.
///
/// # Errors
/// When there is no answer, or no connection after it.
pub async fn is_resumed(
    at: SocketAddr,
    service: &str,
    papers: &Papers,
    path: &str,
) -> io::Result<bool> {
    in_time(async {
        let config = config(papers, b"http/1.1")?;
        let stream = open(at, service, &config).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(other)?;
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(Empty::<Bytes>::new()).map_err(other)?;
        // What it takes to resume comes with the first answer.
        sender.send_request(request).await.map_err(other)?;
        let again = open(at, service, &config).await?;
        Ok(again.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed))
    })
    .await
}

/// What is answered to a `GET` over HTTP/2, after so many others on the same connection that were given up once they were sent.
///
/// # Errors
/// When there is no answer: the connection was refused, or ended because of the others.
pub async fn get_after_cancelled(
    at: SocketAddr,
    service: &str,
    papers: &Papers,
    path: &str,
    cancelled: usize,
) -> io::Result<Heard> {
    in_time(async {
        let (stream, certificate) = connect(at, service, papers, b"h2").await?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(other)?;
        let connection = tokio::spawn(connection);
        let request = || {
            let request = Request::get(format!("https://{service}{path}"));
            request.body(Empty::<Bytes>::new()).map_err(other)
        };
        let asked = async {
            for _ in 0..cancelled {
                sender.ready().await.map_err(other)?;
                let answer = sender.send_request(request()?);
                // The connection takes it and sends it meanwhile; the answer takes longer.
                tokio::task::yield_now().await;
                drop(answer);
            }
            let answer = sender.send_request(request()?).await.map_err(other)?;
            heard(answer, certificate).await
        };
        match asked.await {
            Ok(heard) => Ok(heard),
            // Why the connection ended says more than that it did.
            Err(error) if connection.is_finished() => {
                connection.await?.map_err(other)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    })
    .await
}

async fn in_time<T>(call: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(CALL_MAX, call).await?
}

async fn heard(
    answer: http::Response<hyper::body::Incoming>,
    certificate: Vec<u8>,
) -> io::Result<Heard> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(other)?;
    let mut headers = parts.headers;
    if let Some(trailers) = body.trailers() {
        headers.extend(trailers.clone());
    }
    Ok(Heard {
        status: parts.status.as_u16(),
        headers,
        text: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        certificate,
    })
}

async fn connect(
    at: SocketAddr,
    service: &str,
    papers: &Papers,
    protocol: &[u8],
) -> io::Result<(TlsStream<TcpStream>, Vec<u8>)> {
    let stream = open(at, service, &config(papers, protocol)?).await?;
    let shown = stream.get_ref().1.peer_certificates();
    let certificate = shown.and_then(|chain| chain.first());
    let certificate = certificate.map_or_else(Vec::new, |der| der.to_vec());
    Ok((stream, certificate))
}

async fn open(
    at: SocketAddr,
    service: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(service.to_owned()).map_err(other)?;
    let stream = TcpStream::connect(at).await?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await
}

fn config(papers: &Papers, protocol: &[u8]) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(papers.authorities.as_bytes()) {
        roots.add(authority.map_err(other)?).map_err(other)?;
    }
    // Named, since more than one may be built in.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(other)?
        .with_root_certificates(roots);
    let mut config = match &papers.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(other)?;
            let chain = vec![certificate.map_err(other)?];
            builder.with_client_auth_cert(chain, key).map_err(other)?
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}
