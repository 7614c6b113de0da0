//! Trusted proxies, whose statements about a client's address are believed, and the unit by which addresses are
//! counted.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The list of addresses that a request came through: the client first, then the address that each proxy saw.
pub const FORWARDED_FOR: &str = "x-forwarded-for";
/// The value for an empty list, since an empty variable counts as not set.
const NONE: &str = "none";
/// What [`TrustedProxies`] accepts, for error messages.
const ALLOWED: &str = "addresses and networks such as 10.0.0.5,192.168.0.0/16,fd00::/8, or none";

/// The addresses and networks of the proxies in front of a door. The client address that they report is believed, and
/// limits by address do not apply to them, since all clients come through them.
///
/// Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// This machine, where a gateway in front of a service runs unless configured otherwise.
    #[must_use]
    pub fn loopback() -> Self {
        let networks = [
            IpNet::new_assert(IpAddr::from([127, 0, 0, 0]), 8),
            IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
        ];
        Self(Arc::from(networks))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this address is a trusted proxy.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client that a request came from. If `peer` is trusted, it is the right-most address in
    /// `x-forwarded-for` that is not trusted; otherwise it is `peer` itself, whatever the header says.
    ///
    /// From the right, because each proxy appends the address that it saw: entries to the left of the first untrusted
    /// address are that client's own claim. An entry that is not an address ends the list for the same reason. If all
    /// entries are trusted, the client is the first one.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        // The loop ends early, since most peers are not proxies and most lists have one entry.
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let entries = lines.iter().rev().flat_map(|line| {
            // A line that is not text counts as one entry that is not an address.
            line.to_str().unwrap_or("?").rsplit(',')
        });
        for entry in entries {
            if !self.contains(client) {
                break;
            }
            match address(entry.trim()) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

/// The network in the form in which addresses are compared: of IPv4, if it is written as a part of `::ffff:0:0/96`. It would
/// contain nobody otherwise, and everybody behind such a proxy would be counted as one client.
fn canonical(network: IpNet) -> IpNet {
    let mapped = network.prefix_len().checked_sub(96);
    match (network.addr(), mapped) {
        (IpAddr::V6(address), Some(prefix)) => address
            .to_ipv4_mapped()
            .map_or(network, |v4| IpNet::new_assert(v4.into(), prefix)),
        _ => network,
    }
}

/// Parses `1.2.3.4`, `2001:db8::1`, and both with a port, as some proxies write them.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == NONE {
            return Ok(Self::default());
        }
        let network = |entry: &str| {
            let entry = entry.trim();
            let single = || entry.parse::<IpAddr>().map(IpNet::from);
            let network = entry.parse::<IpNet>().or_else(|_| single());
            network.map(canonical).ok()
        };
        text.split(',')
            .map(network)
            .collect::<Option<Arc<[_]>>>()
            .map(Self)
            .ok_or_else(|| format!("it takes {ALLOWED}"))
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str(NONE);
        }
        for (index, network) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{network}")?;
        }
        Ok(())
    }
}

/// The unit by which addresses are counted: an IPv4 address, or the /64 of an IPv6 address, since one household has a
/// whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(network(address.to_canonical(), 64))
    }
}

impl Origin {
    /// The site that it is a part of.
    #[must_use]
    pub fn site(self) -> Site {
        Site(network(self.0, 48))
    }
}

/// A wider unit, for decisions about who has the most of something that all share: an IPv4 address, or the /48 of an IPv6
/// address. A /48 is what a site gets (RFC 6177) and has 65,536 [`Origin`]s, so that their number would decide otherwise. It
/// compares with an IPv4 address behind which there is a NAT (ADR 54).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(IpAddr);

/// The network of an IPv6 address with this prefix, of 1 to 128 bits; an IPv4 address as it is.
fn network(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let rest = Ipv6Addr::BITS - prefix;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> rest << rest))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forwarded(lines: &[&'static str]) -> HeaderMap {
        let line = |line: &&'static str| {
            (
                axum::http::HeaderName::from_static(FORWARDED_FOR),
                HeaderValue::from_static(line),
            )
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn addresses_and_networks_are_read_and_nothing_else() {
        let proxies: TrustedProxies = "10.0.0.5, 192.168.0.0/16,fd00::/8".parse().unwrap();
        assert_eq!(proxies.to_string(), "10.0.0.5/32,192.168.0.0/16,fd00::/8");
        for inside in ["10.0.0.5", "::ffff:10.0.0.5", "192.168.7.7", "fd12::1"] {
            assert!(proxies.contains(ip(inside)), "{inside}");
        }
        for outside in ["10.0.0.6", "127.0.0.1", "fe80::1"] {
            assert!(!proxies.contains(ip(outside)), "{outside}");
        }
        let none: TrustedProxies = "none".parse().unwrap();
        assert_eq!(none, TrustedProxies::default());
        assert_eq!(none.to_string(), "none");
        let loopback = TrustedProxies::loopback();
        assert_eq!(loopback.to_string().parse(), Ok(loopback.clone()));
        assert!(loopback.contains(ip("127.0.0.2")) && loopback.contains(ip("::1")));
        for wrong in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.5,",
            "10.0.0.5 10.0.0.6",
        ] {
            assert!(wrong.parse::<TrustedProxies>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn networks_of_mapped_addresses_are_those_of_ipv4() {
        let proxies: TrustedProxies = "::ffff:10.0.0.5,::ffff:192.168.0.0/112,::1"
            .parse()
            .unwrap();
        assert_eq!(proxies.to_string(), "10.0.0.5/32,192.168.0.0/16,::1/128");
        for inside in ["10.0.0.5", "::ffff:192.168.7.7", "::1"] {
            assert!(proxies.contains(ip(inside)), "{inside}");
        }
        assert!(!proxies.contains(ip("10.0.0.6")));
    }

    #[test]
    fn a_proxy_is_believed_and_nobody_else() {
        let proxies: TrustedProxies = "10.0.0.0/8".parse().unwrap();
        let cases: &[(&str, &[&'static str], &str)] = &[
            // A value from an untrusted peer has no effect.
            ("6.6.6.6", &["1.1.1.1"], "6.6.6.6"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            // Values that the client wrote itself stand to the left of what the proxy saw.
            ("10.0.0.1", &["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["9.9.9.9", "1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["9.9.9.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["9.9.9.9, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
        ];
        for (peer, lines, client) in cases {
            let found = proxies.client(ip(peer), &forwarded(lines));
            assert_eq!(found, ip(client), "{peer} {lines:?}");
        }
        let mut headers = forwarded(&[]);
        headers.insert(
            FORWARDED_FOR,
            HeaderValue::from_bytes(b"1.1.1.1, \xff").unwrap(),
        );
        assert_eq!(proxies.client(ip("10.0.0.1"), &headers), ip("10.0.0.1"));
    }

    #[test]
    fn a_household_is_one_client() {
        let origin = |text| Origin::from(ip(text));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::2:3"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:1.2.3.4"), origin("1.2.3.4"));
        assert_ne!(origin("1.2.3.4"), origin("1.2.3.5"));
        assert_eq!(origin("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn a_site_has_many_households() {
        let site = |text| Origin::from(ip(text)).site();
        assert_eq!(site("2001:db8:1::1"), site("2001:db8:1:ffff::2"));
        assert_ne!(site("2001:db8:1::1"), site("2001:db8:2::1"));
        assert_eq!(site("::ffff:1.2.3.4"), site("1.2.3.4"));
        assert_ne!(site("1.2.3.4"), site("1.2.3.5"));
    }
}
