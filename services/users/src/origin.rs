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

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self::Network(address.into())
    }
}

impl Origin {
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
