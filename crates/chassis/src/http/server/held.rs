//! What a connection holds for as long as its socket is open. hyper hands the socket on when a connection changes its protocol
//! (101), and the task that served it ends; what the connection takes from others goes along with the socket.

use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::crowd::Guest;
use super::places::Place;

/// Shared by the task that serves a connection and its socket.
#[derive(Debug)]
pub(super) struct Held {
    /// One of the connections of its address.
    pub(super) guest: Guest,
    /// When the server waits no longer.
    pub(super) cut_off: CancellationToken,
    _place: Place,
    /// The server waits for it at the shutdown.
    _tracked: TaskTrackerToken,
}

impl Held {
    pub(super) fn new(
        guest: Guest,
        cut_off: CancellationToken,
        place: Place,
        tracked: TaskTrackerToken,
    ) -> Self {
        Self {
            guest,
            cut_off,
            _place: place,
            _tracked: tracked,
        }
    }
}
