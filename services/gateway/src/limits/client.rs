//! Who a request is from, as the limits count.

use std::net::IpAddr;

use chassis::auth::Caller;
use chassis::proxies::{Origin, Site};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_one_client_however_many_networks_it_has() {
        let client = |address: &str| Client::of(None, Some(address.parse().unwrap()));
        assert_eq!(client("2001:db8:1:1::1"), client("2001:db8:1:2::1"));
        assert_ne!(client("2001:db8:1:1::1"), client("2001:db8:2:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
