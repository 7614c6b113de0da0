//! The settings of GraphQL.

use std::time::Duration;

/// See [`crate::Config`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Whether introspection is allowed.
    pub(crate) introspection: bool,
    /// The time limit of all calls of a request. Fields that are not there by then are null.
    pub(crate) deadline: Duration,
    /// The time limit for the first message on a socket, which authenticates the client.
    pub(crate) init_timeout: Duration,
    /// How long a socket may be open without a subscription.
    pub(crate) idle_timeout: Duration,
    /// The interval of pings on a socket. A client that has sent nothing since the last ping is disconnected.
    pub(crate) heartbeat: Duration,
}
