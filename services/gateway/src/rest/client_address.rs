//! The client's address, for calls without a token.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use super::Shared;

/// The address of the client: that of the connection, or the one that a proxy in `TRUSTED_PROXIES` reports. `None` without a
/// socket.
///
/// users limits failed attempts by it. It replaces whatever the client sent itself.
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl FromRequestParts<Shared> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let client =
            |info: &ConnectInfo<SocketAddr>| gateway.proxies.client(info.0.ip(), &parts.headers);
        Ok(Self(connection.map(client)))
    }
}
