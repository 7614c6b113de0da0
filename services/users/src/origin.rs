//! The origin of a call, for turns and budgets.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use chassis::proxies::{self, TrustedProxies};
use tonic::Request;

/// The unit that counts as one client. It decides whose turn it is and whose budget is used up, but never identifies a
/// user: addresses are shared, borrowed and forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// This service itself, for the admin of its configuration.
    Ourselves,
    /// Not known, e.g. in a test without a socket.
    Unknown,
    /// An IPv4 address or an IPv6 network.
    Network(proxies::Origin),
}

/// A wider unit than [`Origin`], for what all callers share: one client can call from each network of a whole site (ADR 54).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Site {
    /// As [`Origin::Ourselves`].
    Ourselves,
    /// As [`Origin::Unknown`].
    Unknown,
    /// An IPv4 address or a site's IPv6 network.
    Network(proxies::Site),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self::Network(address.into())
    }
}

impl Origin {
    /// The site that it is a part of.
    #[must_use]
    pub fn site(self) -> Site {
        match self {
            Self::Ourselves => Site::Ourselves,
            Self::Unknown => Site::Unknown,
            Self::Network(origin) => Site::Network(origin.site()),
        }
    }

    /// The address that a call comes from, or the client's address that a trusted proxy reports.
    ///
    /// The only place where this service trusts a header about the client's address; see ADR 19.
    pub(crate) fn of<T>(request: &Request<T>, proxies: &TrustedProxies) -> Self {
        let Some(connection) = request.extensions().get::<ConnectInfo<SocketAddr>>() else {
            return Self::Unknown;
        };
        let headers = request.metadata().as_ref();
        proxies.client(connection.0.ip(), headers).into()
    }
}
