//! The unfinished requests of a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Connection, Crowd};
use crate::proxies::Origin;

/// How many times other tasks may run before a request is refused.
const SETTLE: usize = 8;

/// An unfinished request. It costs three counters and no lock.
#[derive(Debug)]
pub(in crate::http::server) struct Open {
    crowd: Arc<Crowd>,
    connection: Arc<Connection>,
    is_one_too_many: bool,
    /// Whether it counts as one of its site's.
    is_counted: bool,
}

impl Open {
    /// Counts one more request.
    pub(in crate::http::server) fn begin(crowd: &Arc<Crowd>, connection: &Arc<Connection>) -> Self {
        connection.spoke.store(true, Ordering::Relaxed);
        connection.unfinished.store(0, Ordering::Relaxed);
        connection.open.fetch_add(1, Ordering::AcqRel);
        let before = connection.open_of_site.fetch_add(1, Ordering::AcqRel);
        Self {
            crowd: Arc::clone(crowd),
            connection: Arc::clone(connection),
            is_one_too_many: connection.origin.is_some() && before >= crowd.requests_max,
            is_counted: true,
        }
    }

    /// Whether the request may be served. If its site has reached its limit, a request that has been stalled
    /// there is ended to make room; false if none is stalled.
    pub(in crate::http::server) async fn is_admitted(&self) -> bool {
        if !self.is_one_too_many {
            return true;
        }
        let (crowd, origin) = (&self.crowd, self.connection.origin);
        let Some(site) = origin.map(Origin::site) else {
            return true;
        };
        for _ in 0..SETTLE {
            let ended = crowd.senders.end_longest_at(site);
            let ended = ended.or_else(|| crowd.readers.end_longest_at(site));
            if ended.is_some() {
                return true;
            }
            // Requests that arrived at the same time may not have been polled yet, and so not be known as stalled.
            tokio::task::yield_now().await;
        }
        false
    }
}

impl Open {
    /// The connection that it came on.
    pub(in crate::http::server) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Its answer lasts for as long as its reader stays, and is counted elsewhere. The connection stays busy.
    pub(in crate::http::server) fn leave_count(&mut self) {
        if std::mem::take(&mut self.is_counted) {
            self.connection.open_of_site.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Open {
    /// Its connection changes the protocol. The connection stays busy until it closes; what runs on it is counted elsewhere.
    pub(in crate::http::server) fn go_on(&mut self) {
        self.leave_count();
        self.connection.is_upgraded.store(true, Ordering::Release);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.leave_count();
        if self.connection.is_upgraded() {
            return;
        }
        // Stored before the count is decremented: a thread that finds the connection idle also finds since when.
        self.connection
            .idle_since_ms
            .store(self.crowd.now_ms(), Ordering::Relaxed);
        self.connection.open.fetch_sub(1, Ordering::AcqRel);
    }
}
