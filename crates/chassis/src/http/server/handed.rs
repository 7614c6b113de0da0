//! What HTTP/2 has taken over of answers and has not written yet. h2 takes up to 400 kB of each stream, as long as the client's
//! windows are open, also while the socket accepts nothing; an answer of that length is over for us, and waits there.

use std::sync::Arc;

use axum::body::Bytes;

use super::crowd::Connection;

/// A piece of an answer. It counts for its connection until it is written, or dropped with its stream.
struct Handed {
    data: Bytes,
    connection: Arc<Connection>,
}

/// The same data, counted. The connections of peers that are exempt from limits by address are not counted: it costs an allocation.
pub(super) fn hand_over(data: Bytes, connection: &Arc<Connection>) -> Bytes {
    if connection.origin.is_none() || data.is_empty() {
        return data;
    }
    connection.takes_over(data.len());
    Bytes::from_owner(Handed {
        data,
        connection: Arc::clone(connection),
    })
}

impl AsRef<[u8]> for Handed {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.connection.gives_back(self.data.len());
    }
}
