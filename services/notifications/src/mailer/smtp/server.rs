//! The mail server's address and protocol settings.

use chassis::Fatal;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// Ports of RFC 5321 (relay), RFC 6409 (submission) and RFC 8314 (submission inside TLS).
const PORTS: (u16, u16, u16) = (25, 587, 465);

/// The use of TLS in a conversation.
pub(super) enum Tls {
    None,
    /// By `STARTTLS`, if the server supports it.
    Opportunistic(TlsParameters),
    /// By `STARTTLS`, or the connection fails.
    Required(TlsParameters),
    /// From the first byte.
    Wrapper(TlsParameters),
}

/// The content of a URL such as `smtp://user:password@host:port/ehlo-name?tls=required`: the form and the defaults of
/// lettre's `from_url`, which does not expose what it has parsed.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) hello: ClientId,
    pub(super) credentials: Option<Credentials>,
}

impl Server {
    /// # Errors
    /// One line without the URL, which may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, Fatal> {
        Self::read(url).ok_or_else(|| {
            Fatal::new("SMTP_URL (or --smtp-url) cannot be used: it takes smtp://host:port, with ?tls=required for STARTTLS, or smtps://")
        })
    }

    fn read(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let host = match url.host()? {
            // Without the brackets that it has in a URL: they are no part of what is connected to and certified.
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        };
        let tls = url.query_pairs().find(|(name, _)| name == "tls");
        let tls = tls.as_ref().map(|(_, value)| value.as_ref());
        let parameters = || TlsParameters::new(host.clone()).ok();
        let (tls, port) = match (url.scheme(), tls) {
            ("smtp", None) => (Tls::None, PORTS.0),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), PORTS.1),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(parameters()?), PORTS.1),
            ("smtps", _) => (Tls::Wrapper(parameters()?), PORTS.2),
            _ => return None,
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let text = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
        let credentials = match url.password() {
            None => None,
            Some(password) => Some(Credentials::new(text(url.username())?, text(password)?)),
        };
        Some(Self {
            port: url.port().unwrap_or(port),
            host,
            tls,
            hello,
            credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_to_speak_to_the_server() {
        let server = Server::read("smtp://127.0.0.1:1025").unwrap();
        assert_eq!((server.host.as_str(), server.port), ("127.0.0.1", 1025));
        assert!(matches!(server.tls, Tls::None) && server.credentials.is_none());
        let server = Server::read("smtp://[::1]:1025").unwrap();
        assert_eq!((server.host.as_str(), server.port), ("::1", 1025));
        for (url, port) in [
            ("smtp://mail.example", 25),
            ("smtp://mail.example?tls=required", 587),
            ("smtp://mail.example?tls=opportunistic", 587),
            ("smtps://mail.example", 465),
            ("smtps://u:p@mail.example:8465", 8465),
        ] {
            assert_eq!(Server::read(url).unwrap().port, port, "{url}");
        }
        let server = Server::read("smtps://ada%40shop:p%C3%A4ss%2F@mail.example/shop").unwrap();
        assert_eq!(
            server.credentials,
            Some(Credentials::new("ada@shop".into(), "päss/".into()))
        );
        assert_eq!(server.hello, ClientId::Domain("shop".into()));
        assert!(matches!(server.tls, Tls::Wrapper(_)));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_password() {
        for url in [
            "smtp://u:hunter2@mail.example?tls=perhaps",
            "http://u:hunter2@mail.example",
            "smtp://u:hunter2%ff@mail.example",
        ] {
            let error = Server::parse(url).err().expect(url).to_string();
            assert!(
                error.contains("SMTP_URL") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
