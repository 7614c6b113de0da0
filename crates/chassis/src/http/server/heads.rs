//! Heads that have begun to arrive: hyper keeps what there is of one until its rest comes, in memory that its sender pays nothing
//! for, so the bytes of all that wait are bounded.
//!
//! Over HTTP/2 all bytes since the last request count in the same way, since only hyper knows which of them are of a head; pings and
//! windows are few. A head that comes at once is never in the list, and costs one counter. A message of another protocol counts
//! as a head does ([`super::unfinished`]).

use std::task::Poll;

use super::crowd::Guest;
use crate::http::intake::HEAD_BYTES_MAX;
use crate::stalls::Stalled;

/// The most bytes of unfinished heads that wait at one server, whoever sends them: 1,024 of the longest.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// What hyper allocates over HTTP/1.1 for the first byte of a head (its `INIT_BUFFER_SIZE`): a shorter one counts as this.
const BUFFER: usize = 8 * 1024;

/// What a connection holds of a head that has not arrived as a whole.
pub(super) struct Head {
    /// The most bytes of one address.
    of_address_max: usize,
    bytes: usize,
    /// Set only while the rest is waited for.
    in_line: Option<Stalled>,
}

impl Head {
    pub(super) fn new(of_address_max: usize) -> Self {
        Self {
            of_address_max,
            bytes: 0,
            in_line: None,
        }
    }

    /// Counts what a read has brought, or that there is no more for now. Connections that wait for the rest of a head longest
    /// are told to make room when there is too much.
    pub(super) fn after<T>(&mut self, read: &Poll<T>, came: usize, guest: &Guest) {
        if read.is_ready() {
            // hyper looks first whether the head is complete. If not, it reads again, and is told that nothing is there.
            self.hold(0, guest);
            guest.connection.received(came);
            return;
        }
        let least = if guest.connection.has_streams() {
            1
        } else {
            BUFFER
        };
        let bytes = match guest.connection.bytes_unfinished() {
            0 => 0,
            bytes => bytes.clamp(least, HEAD_BYTES_MAX),
        };
        self.hold(bytes, guest);
    }

    fn hold(&mut self, bytes: usize, guest: &Guest) {
        if bytes == self.bytes {
            return;
        }
        self.bytes = bytes;
        // It leaves with what it held when it joined.
        self.in_line = None;
        guest.connection.seat.hold(bytes);
        if bytes > 0 {
            let (heads, origin) = (&guest.crowd.heads, guest.connection.origin);
            self.in_line = Some(heads.join(origin, &guest.connection.seat));
            heads.make_room(origin, self.of_address_max, BYTES_MAX);
        }
    }
}
