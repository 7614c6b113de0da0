//! How a cluster behaves.

use std::time::Duration;

/// How a cluster behaves. The default is for data that people want to keep.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a commit survives a crash of the machine (`fsync`). Only throw-away data may do without.
    pub durable: bool,
    /// The most connections at the same time.
    pub connections_max: u16,
    /// The longest a start may take, crash recovery included.
    pub start_timeout: Duration,
    /// What becomes of the cluster when this process ends without stopping it.
    pub on_exit: OnExit,
}

/// What becomes of a cluster when its process ends without stopping it, even by `kill -9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// It goes on; the next start on its directory stops it.
    Keep,
    /// It is shut down.
    Stop,
    /// It is shut down and its directory removed.
    Remove,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durable: true,
            connections_max: 150,
            start_timeout: Duration::from_secs(60),
            on_exit: OnExit::Stop,
        }
    }
}
