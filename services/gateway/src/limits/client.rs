//! Who a request is from, as the limits count.

use std::net::IpAddr;

use chassis::auth::Caller;
use chassis::proxies::Origin;
use uuid::Uuid;

/// Who is counted: whoever is signed in by their id, so that people behind one address do not share a
/// budget; everybody else by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    User(Uuid),
    Address(Origin),
    /// The address is unknown, as in a test without a socket.
    Unknown,
}

impl Client {
    pub(crate) fn of(caller: Option<&Caller>, address: Option<IpAddr>) -> Self {
        match (caller, address) {
            (Some(caller), _) => Self::User(caller.user_id),
            (None, Some(address)) => Self::Address(address.into()),
            (None, None) => Self::Unknown,
        }
    }
}
