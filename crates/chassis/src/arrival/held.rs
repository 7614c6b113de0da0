//! Bodies that have arrived and whose requests wait for their work to begin.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::Extensions;

use super::{Absent, Arrivals};
use crate::proxies::Origin;
use crate::stalls::{Seat, Stalls};

/// A body of up to this many bytes is not counted once it has arrived: its request takes about as much memory without it.
pub const SMALL_BYTES_MAX: usize = 4 * 1024;

/// The body of a request whose work has not begun. The bytes of a whole one count among those that arrive
/// ([`WAITING_BYTES_MAX`](super::WAITING_BYTES_MAX)) until this is dropped; a conversation counts as one. It is in the
/// extensions of its request, unless the body is small; code that lets requests wait takes it from there and keeps it while
/// they wait.
#[derive(Clone, Debug, Default)]
pub struct Held(Option<Arc<Share>>);

#[derive(Debug)]
struct Share {
    arrivals: Arrivals,
    origin: Option<Origin>,
    seat: Arc<Seat>,
    /// The list of those who make room for others of their kind.
    line: Stalls,
}

impl Held {
    /// What a request holds. Empty if it has no body, or a small one.
    pub fn take(extensions: &mut Extensions) -> Self {
        extensions.remove().unwrap_or_default()
    }

    /// Counts the `bytes` of a body that has arrived, on the seat that it had meanwhile.
    pub(super) fn count(
        arrivals: &Arrivals,
        origin: Option<Origin>,
        seat: Arc<Seat>,
        bytes: usize,
    ) -> Result<Self, Absent> {
        let share = Share {
            arrivals: arrivals.clone(),
            origin,
            seat,
            line: arrivals.0.waiting.clone(),
        };
        // Counted by the share, which gives the bytes back if there is no room for them.
        arrivals.hold(&share.seat, bytes)?;
        Ok(Self(Some(Arc::new(share))))
    }

    /// A conversation that nobody reads yet. It is none of those whose senders are silent, so without this it would keep one of
    /// their few places for as long as its request waits. It waits on a seat of its own: that of its body says that the sender has
    /// stopped (408), and this one may be sending all the time.
    pub(super) fn unread(arrivals: &Arrivals, origin: Option<Origin>) -> Self {
        Self(Some(Arc::new(Share {
            arrivals: arrivals.clone(),
            origin,
            seat: Arc::default(),
            line: arrivals.0.silent.clone(),
        })))
    }

    /// Waits until the work may begin, and gives the bytes back. `None` if the body had to make room for others first: then
    /// the request is to be refused.
    pub async fn until<F: Future>(self, turn: F) -> Option<F::Output> {
        let Some(share) = self.0 else {
            return Some(turn.await);
        };
        let _in_line = share.line.join(share.origin, &share.seat);
        tokio::select! {
            biased;
            begins = turn => Some(begins),
            () = poll_fn(|cx| share.seat.poll_ended(cx)) => None,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let bytes = self.seat.hold(0);
        self.arrivals.0.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}
