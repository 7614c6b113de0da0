//! Who a request is from, as the limits count.

use std::net::IpAddr;

use chassis::auth::Caller;
use chassis::proxies::{Origin, Site, TrustedProxies};
use uuid::Uuid;

/// Who is counted: whoever is signed in by their id, so that people behind one address do not share a
/// budget; everybody else by the site of their address, since one client can send each request from another network of its
/// own (ADR 54).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    User(Uuid),
    Address(Site),
    /// The address is unknown, as in a test without a socket.
    Unknown,
}

impl Client {
    pub(crate) fn of(caller: Option<&Caller>, address: Option<IpAddr>) -> Self {
        match (caller, address) {
            (Some(caller), _) => Self::User(caller.user_id),
            (None, Some(address)) => Self::Address(Origin::from(address).site()),
            (None, None) => Self::Unknown,
        }
    }
}

/// Who wants a turn: a client, and the site that it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimant {
    pub(crate) client: Client,
    /// `None` if the address is unknown, or that of a trusted proxy, which many sites are behind: then only the client counts.
    pub(crate) site: Option<Site>,
}

impl Claimant {
    pub(crate) fn new(client: Client, address: Option<IpAddr>, proxies: &TrustedProxies) -> Self {
        let counted = address.filter(|address| !proxies.contains(*address));
        Self {
            client,
            site: counted.map(|address| Origin::from(address).site()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_no_site() {
        let proxies = "10.0.0.0/8".parse().unwrap();
        let site = |address: Option<&str>| {
            let address = address.map(|address| address.parse().unwrap());
            Claimant::new(Client::Unknown, address, &proxies).site
        };
        assert_eq!([None, Some("10.1.2.3")].map(site), [None, None]);
        assert!(site(Some("192.0.2.1")).is_some());
        assert_eq!(site(Some("2001:db8:1:1::1")), site(Some("2001:db8:1:2::1")));
    }

    #[test]
    fn a_site_is_one_client_however_many_networks_it_has() {
        let client = |address: &str| Client::of(None, Some(address.parse().unwrap()));
        assert_eq!(client("2001:db8:1:1::1"), client("2001:db8:1:2::1"));
        assert_ne!(client("2001:db8:1:1::1"), client("2001:db8:2:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
