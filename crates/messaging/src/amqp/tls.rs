//! TLS to the broker: `amqps://user:password@host:5671/vhost?cacertfile=FILE`.
//!
//! The names of the parameters are those of RabbitMQ's own clients. The broker's certificate has to come from the
//! authority in `cacertfile` and to be for the host of the URL; public authorities are not asked, since a broker is nobody's
//! web site. `certfile` and `keyfile` are this client's own, for a broker that wants to see one.
//!
//! lapin's own TLS would bring certificate stores and a reader of PKCS #12 that nothing here needs. So lapin gets a runtime
//! whose TCP connections are TLS already, with the rustls that PostgreSQL's driver has brought along anyway.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_rs::TokioRuntime;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures::{AsyncRead, AsyncWrite, Stream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use url::Url;

/// Where the certificates are. They are read at each connection, so that files that were replaced are used from the next
/// one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    authority: PathBuf,
    identity: Option<Identity>,
}

/// This client's own certificate, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// What the parameters of an `amqps` URL say.
    ///
    /// # Errors
    /// One line for a person, without the password.
    pub(super) fn of(url: &Url) -> Result<Self, String> {
        let file = |name: &str| {
            let mut parameters = url.query_pairs();
            let (_, path) = parameters.find(|(key, _)| key == name)?;
            Some(PathBuf::from(&*path))
        };
        let authority = file("cacertfile").ok_or(
            "amqps:// takes ?cacertfile=FILE, the certificate of the authority that the broker's comes from",
        )?;
        let identity = match (file("certfile"), file("keyfile")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            _ => return Err("certfile and keyfile are given together or not at all".to_owned()),
        };
        Ok(Self {
            authority,
            identity,
        })
    }

    /// Reads the files. Blocks, for as long as that takes.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub(super) fn read(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority)? {
            let added = roots.add(certificate);
            added.map_err(|error| wrong(&self.authority, error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = versions
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => client.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = certificates(certificate)?;
                let secret = PrivateKeyDer::from_pem_slice(&bytes(key)?);
                let secret = secret.map_err(|error| wrong(key, error))?;
                let own = client.with_client_auth_cert(chain, secret);
                own.map_err(|error| wrong(certificate, error))?
            }
        };
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = bytes(file)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = read.map_err(|error| wrong(file, error))?;
    match found.is_empty() {
        true => Err(wrong(file, "it holds no certificate in PEM")),
        false => Ok(found),
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| wrong(file, error))
}

fn wrong(file: &Path, error: impl fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

/// A connection to the broker as lapin takes it.
type Connected = Compat<TlsStream<TcpStream>>;

/// Tokio, but every TCP connection is one over TLS to `host`.
#[derive(Debug, Clone)]
pub(super) struct OverTls {
    tokio: TokioRuntime,
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
}

impl OverTls {
    /// Connections of the current runtime to `host`, the name that the broker's certificate has to be for.
    ///
    /// # Errors
    /// If that is neither a name nor an address.
    pub(super) fn to(host: &str, config: Arc<ClientConfig>) -> Result<Self, String> {
        let host = ServerName::try_from(host.to_owned())
            .map_err(|_| "the broker's host is neither a name nor an address".to_owned())?;
        Ok(Self {
            tokio: TokioRuntime::tokio_current(),
            config,
            host,
        })
    }
}

impl Executor for OverTls {
    type Task<T: Send + 'static> = <TokioRuntime as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, work: F) -> T {
        self.tokio.block_on(work)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn(work)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for OverTls {
    type TcpStream = Connected;
    type Sleep = <TokioRuntime as Reactor>::Sleep;

    /// Nobody registers sockets of their own: lapin connects by [`Reactor::tcp_connect`].
    fn register<H: Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Connected, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.tokio.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Connected>> + Send + 'static {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let host = self.host.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let secured = connector.connect(host, stream).await;
            let secured =
                secured.map_err(|error| io::Error::new(error.kind(), format!("TLS: {error}")))?;
            Ok(secured.compat())
        }
    }
}

impl RuntimeKit for OverTls {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        let url: Url = format!("amqps://shop:hunter2@h/agora{query}")
            .parse()
            .unwrap();
        let files = Files::of(&url);
        let why = files.and_then(|files| files.read().map(drop)).unwrap_err();
        assert!(!why.contains("hunter2") && !why.contains('\n'), "{why}");
        why
    }

    #[test]
    fn what_cannot_be_read_is_one_line_that_names_the_file() {
        let nothing = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (query, says) in [
            ("", "?cacertfile=FILE"),
            (
                "?cacertfile=/nowhere/ca.crt",
                "/nowhere/ca.crt: No such file",
            ),
            (
                &format!("?cacertfile={nothing}"),
                "Cargo.toml: it holds no certificate",
            ),
            ("?cacertfile=a&certfile=b", "given together"),
            ("?cacertfile=a&keyfile=b", "given together"),
        ] {
            let why = refused(query);
            assert!(why.contains(says), "{query}: {why}");
        }
    }
}
