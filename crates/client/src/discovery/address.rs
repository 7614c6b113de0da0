//! The address of a peer, as it is configured.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use http::uri::Authority;
use url::{Host, Url};

/// The allowed syntax, for error messages.
const ALLOWED: &str = "an address such as http://127.0.0.1:8081, http://api:8081 (every address of that name), \
                       srv+http://_http._tcp.api or several of them, separated by commas, is needed";

/// The port of `http:` when none is given.
const DEFAULT_PORT: u16 = 80;

/// The address of a peer: one or several places and the base path that they share.
///
/// | written | found |
/// |---|---|
/// | `http://127.0.0.1:8081`, `http://localhost:8081` | that address; no resolver is made |
/// | `http://orders:8081` | every address (A, else AAAA) of the name, looked up again as its TTL says |
/// | `srv+http://_http._tcp.orders` | every host and port of the SRV records of best priority |
/// | `http://10.0.0.1:8081,http://10.0.0.2:8081` | all of them; names can be among them |
///
/// A name is always looked up again; there is no separate scheme for that. A compose service and a headless Kubernetes
/// service are names with several addresses, and a name with one address today has another one after the next deploy.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    authority: Authority,
    /// Begins with `/` or is empty; never ends with `/`.
    base_path: String,
    places: Vec<Place>,
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A literal address that needs no lookup.
    Fixed(SocketAddr),
    /// A name with A or AAAA records.
    Name { host: String, port: u16 },
    /// A name with SRV records.
    Service { name: String },
}

impl Address {
    /// The authority that requests carry (`Host`, `:authority`): that of the first entry of the list. Not the
    /// endpoint's own address, because a mesh routes by the name of the service.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The base path of the peer, without a slash at its end; usually empty.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// This address, narrowed to one of its endpoints: called by the same name, at that place only.
    #[must_use]
    pub fn at(&self, endpoint: SocketAddr) -> Self {
        Self {
            places: vec![Place::Fixed(endpoint)],
            ..self.clone()
        }
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut places = Vec::new();
        let mut first: Option<(Authority, String)> = None;
        for entry in text.split(',') {
            let (place, authority, path) = parse_entry(entry.trim())?;
            match &first {
                Some((_, other)) if *other != path => {
                    return Err(format!("its paths differ ({other:?}, {path:?}): {ALLOWED}"));
                }
                Some(_) => {}
                None => first = Some((authority, path)),
            }
            if !places.contains(&place) {
                places.push(place);
            }
        }
        // `split` yields at least one entry.
        let (authority, base_path) = first.ok_or(ALLOWED)?;
        Ok(Self {
            text: text.to_owned(),
            authority,
            base_path,
            places,
        })
    }
}

fn parse_entry(text: &str) -> Result<(Place, Authority, String), String> {
    let (is_service, plain) = match text.strip_prefix("srv+") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let url = Url::parse(plain).map_err(|error| format!("{error}: {ALLOWED}"))?;
    let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    // No https: the mesh encrypts traffic between services, so that no service handles certificates itself.
    if url.scheme() != "http" || !bare || url.password().is_some() {
        return Err(ALLOWED.to_owned());
    }
    let port = url.port().unwrap_or(DEFAULT_PORT);
    let place = match url.host() {
        Some(Host::Domain(name)) if is_service && url.port().is_none() => Place::Service {
            name: name.to_owned(),
        },
        // The port comes from the SRV records.
        _ if is_service => return Err(format!("SRV takes a name without a port: {ALLOWED}")),
        Some(Host::Ipv4(ip)) => Place::Fixed(SocketAddr::new(IpAddr::V4(ip), port)),
        Some(Host::Ipv6(ip)) => Place::Fixed(SocketAddr::new(IpAddr::V6(ip), port)),
        // Only IPv4: both loopback addresses would be the same process twice. The IPv6 address can be configured
        // literally.
        Some(Host::Domain("localhost")) => {
            Place::Fixed(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        Some(Host::Domain(name)) => Place::Name {
            host: name.to_owned(),
            port,
        },
        None => return Err(ALLOWED.to_owned()),
    };
    let authority = Authority::try_from(url.authority()).map_err(|error| error.to_string())?;
    let path = url.path().trim_end_matches('/').to_owned();
    Ok((place, authority, path))
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::from_str(&format!("http://{address}")).expect("a socket address is an authority")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn fixed(text: &str) -> Place {
        Place::Fixed(text.parse().unwrap())
    }

    #[test]
    fn literal_addresses_and_localhost_need_no_resolver() {
        for (text, address) in [
            ("http://127.0.0.1:8081", "127.0.0.1:8081"),
            ("http://localhost:8081/", "127.0.0.1:8081"),
            ("http://10.1.2.3", "10.1.2.3:80"),
            ("http://[::1]:8081", "[::1]:8081"),
        ] {
            assert_eq!(parse(text).places(), [fixed(address)], "{text}");
        }
    }

    #[test]
    fn names_are_looked_up() {
        let address = parse("http://orders:8081");
        assert_eq!(
            address.places(),
            [Place::Name {
                host: "orders".into(),
                port: 8081
            }]
        );
        assert_eq!(address.authority(), "orders:8081");
        assert_eq!(
            parse("srv+http://_http._tcp.orders").places(),
            [Place::Service {
                name: "_http._tcp.orders".into()
            }]
        );
    }

    #[test]
    fn one_endpoint_is_called_by_the_name_of_all() {
        let endpoint = "10.0.0.1:8091".parse().unwrap();
        let one = parse("http://orders:8091/base").at(endpoint);
        assert_eq!(one.places(), [fixed("10.0.0.1:8091")]);
        assert_eq!(
            (one.authority().as_str(), one.base_path()),
            ("orders:8091", "/base")
        );
    }

    #[test]
    fn a_list_is_one_peer_at_several_places() {
        let address =
            parse("http://10.0.0.1:1/base/, http://10.0.0.2:2/base,http://10.0.0.1:1/base");
        assert_eq!(address.places(), [fixed("10.0.0.1:1"), fixed("10.0.0.2:2")]);
        assert_eq!(
            (address.authority().as_str(), address.base_path()),
            ("10.0.0.1:1", "/base")
        );
    }

    #[test]
    fn what_cannot_be_called_is_refused_with_an_example() {
        for bad in [
            "",
            "users:50051",
            "https://users",
            "mailto:a@b",
            "http://",
            "http://a?b=c",
            "http://a#b",
            "http://user:secret@a",
            "127.0.0.1:80",
            "http://a:1,",
            "http://a:1/x,http://b:1/y",
            "srv+http://orders:81",
            "srv+http://127.0.0.1",
        ] {
            let line = Address::from_str(bad).unwrap_err();
            assert!(line.contains("such as http://"), "{bad}: {line}");
            assert!(!line.contains('\n') && !line.contains("secret"), "{line}");
        }
    }
}
