//! Where a call comes from, as far as turns and budgets go.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use chassis::proxies::{self, TrustedProxies};
use tonic::Request;

/// What is counted as one client. It decides whose turn it is and whose budget is used up, and never who somebody
/// is: addresses are shared, borrowed and forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// This service itself: the admin of its configuration.
    Ourselves,
    /// Nobody knows, as in a test without a socket.
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
    /// The address that a call comes from, or whom one of our proxies says it calls for.
    ///
    /// The one place where this service believes what a header says; see ADR 19.
    pub(crate) fn of<T>(request: &Request<T>, proxies: &TrustedProxies) -> Self {
        let Some(connection) = request.extensions().get::<ConnectInfo<SocketAddr>>() else {
            return Self::Unknown;
        };
        let headers = request.metadata().as_ref();
        proxies.client(connection.0.ip(), headers).into()
    }
}
