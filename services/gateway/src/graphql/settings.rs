//! What is configured.

use std::time::Duration;

/// What the door may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Whether the schema may be asked for.
    pub(crate) introspection: bool,
    /// How long all of a request's calls may take. What has not come by then is null.
    pub(crate) deadline: Duration,
    /// How long the client of a socket may take to say who it is.
    pub(crate) init_timeout: Duration,
    /// How often the client of a socket is asked whether it is there. Who has said nothing since the last time is gone.
    pub(crate) heartbeat: Duration,
}
