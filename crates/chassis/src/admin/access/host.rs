//! Host names, parsed into the form in which they are compared.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::uri::Authority;
use url::Host;

/// A host name or an address, without a port, in canonical form: lower case, no dot at the end, addresses as numbers
/// (so `[0:0:0:0:0:0:0:1]` is `[::1]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(Host);

impl HostName {
    /// Whether the host is certain to be this machine, whichever resolver is used. Of the names, only `localhost` is:
    /// browsers keep `*.localhost` local, but other resolvers ask the network.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.0 {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.to_canonical().is_loopback(),
        }
    }
}

impl FromStr for HostName {
    type Err = String;

    /// Parses a name or an address; IPv6 with or without brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "it takes names or addresses without a port, such as api,api.internal,10.0.0.7"
                .to_owned()
        };
        let text = text.trim();
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self(Host::Ipv6(address)));
        }
        // A dot at the end marks a fully qualified name; the name is the same.
        let text = text.strip_suffix('.').unwrap_or(text);
        // `Host` would accept a list or a pattern as a name, which no request could ever match.
        let plain = text.starts_with('[')
            || text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if text.is_empty() || !plain {
            return Err(wrong());
        }
        Host::parse(text).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The host that a request addresses, and the port if it names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) host: HostName,
    port: Option<u16>,
}

impl Asked {
    /// Returns `None` for anything but `host` or `host:port`. The port itself is not checked, because port forwarding
    /// changes it.
    pub(super) fn read(authority: &Authority) -> Option<Self> {
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host)? {
            "" | ":" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        Some(Self {
            host: host.parse().ok()?,
            port,
        })
    }
}

/// The origin of the page that sent a request.
pub(super) struct Origin {
    site: Asked,
    /// The default port of its scheme.
    default_port: u16,
}

impl Origin {
    /// Returns `None` for `null` (an opaque origin) and for anything else that is no http or https origin.
    pub(super) fn read(value: &HeaderValue) -> Option<Self> {
        let uri = Uri::try_from(value.as_bytes()).ok()?;
        let default_port = match uri.scheme_str()? {
            "http" => 80,
            // A proxy in front of the port may speak TLS.
            "https" => 443,
            _ => return None,
        };
        let site = Asked::read(uri.authority()?)?;
        Some(Self { site, default_port })
    }

    /// Whether the origin is the host that the request addresses.
    pub(super) fn is_of(&self, asked: &Asked) -> bool {
        let port = |site: &Asked| site.port.unwrap_or(self.default_port);
        self.site.host == asked.host && port(&self.site) == port(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Asked> {
        Asked::read(&text.parse().ok()?)
    }

    #[test]
    fn the_loopback_has_many_spellings() {
        for text in [
            "localhost",
            "LocalHost.",
            "127.0.0.1",
            "127.8.9.1",
            "[::1]",
            "::1",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(text.parse::<HostName>().unwrap().is_loopback(), "{text}");
        }
        for text in [
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.nip.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "xlocalhost",
        ] {
            assert!(!text.parse::<HostName>().unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn names_are_compared_in_one_form() {
        let name = |text: &str| text.parse::<HostName>().unwrap();
        assert_eq!(name(" Orders.Internal. "), name("orders.internal"));
        assert_eq!(name("[FD00::0:1]"), name("fd00::1"));
        assert_ne!(name("orders"), name("orders.internal"));
        for text in [
            "",
            ".",
            "orders:8091",
            "http://orders",
            "*.internal",
            "a b",
            "a@b",
            "[::1]:80",
            "a/b",
            "a%62",
        ] {
            let error = text.parse::<HostName>().unwrap_err();
            assert!(error.starts_with("it takes"), "{text}: {error}");
        }
    }

    #[test]
    fn a_host_is_read_with_and_without_a_port() {
        assert_eq!(asked("orders:8091").unwrap().port, Some(8091));
        assert_eq!(asked("[::1]:8091").unwrap().port, Some(8091));
        for text in ["orders", "orders:"] {
            assert_eq!(asked(text).unwrap().port, None, "{text}");
        }
        for text in [
            "a@orders",
            "orders:x",
            "orders:70000",
            "orders:-1",
            "[::1",
            "or ders",
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        let is_of = |origin: &'static str, host: &str| {
            Origin::read(&HeaderValue::from_static(origin))
                .is_some_and(|origin| origin.is_of(&asked(host).unwrap()))
        };
        assert!(is_of("http://localhost:8091", "LOCALHOST:8091"));
        assert!(is_of("http://orders", "orders:80"));
        assert!(is_of("https://orders", "orders"));
        for (origin, host) in [
            ("http://localhost:3000", "localhost:8091"),
            ("http://evil.example:8091", "localhost:8091"),
            ("http://localhost", "localhost:8091"),
            ("https://orders", "orders:80"),
            ("null", "localhost:8091"),
            ("file://localhost:8091", "localhost:8091"),
            ("localhost:8091", "localhost:8091"),
            ("", "localhost:8091"),
        ] {
            assert!(!is_of(origin, host), "{origin} {host}");
        }
    }
}
