//! Messages of another protocol that have begun to arrive. Who reads them keeps what there is until the rest comes, in memory that
//! its sender pays nothing for, as with heads; so their bytes are bounded together with those of heads ([`super::heads`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::{HeaderMap, header};

use super::crowd::Connection;

/// What has come over the connection of a request, once it has changed its protocol, and is of no whole message. It is in the
/// extensions of every request that asks for such a change; who reads the messages says here when one is whole. A connection
/// whose reader never says so has room for one head.
#[derive(Clone, Debug)]
pub struct Unfinished(Arc<Connection>);

impl Unfinished {
    /// Of the request with these headers, if it may change the protocol.
    pub(super) fn of(headers: &HeaderMap, connection: &Arc<Connection>) -> Option<Self> {
        let changes = headers.contains_key(header::UPGRADE);
        changes.then(|| Self(Arc::clone(connection)))
    }

    /// A message has come whole, and nothing of it waits any more.
    pub fn is_whole(&self) {
        self.0.unfinished.store(0, Ordering::Relaxed);
    }

    /// So many bytes that have come were of no message that waits, though one may have begun before them.
    pub fn apart(&self, bytes: usize) {
        let less = |all: usize| Some(all.saturating_sub(bytes));
        // It never fails: there is always a new value.
        let _ = self
            .0
            .unfinished
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}
