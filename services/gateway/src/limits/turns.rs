//! Turns: how many requests of one client are worked on at once.
//!
//! The services behind take so many calls at a time (their bulkheads, their connections to a database), and whoever asks
//! for the most at once would have them all. So a client has a number of places here for each part of the API, and what it
//! asks for beyond them
//! waits, in order, within the request's own deadline: nobody is refused for it, and it waits for itself only. A bulkhead
//! for each client and peer, the alternative, would refuse the burst of an honest one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Lines that clients wait in; two clients that meet in one share its places. About 200 kB in all.
const LINES: usize = 1 << 12;

/// The lines of all clients: bounded by construction, as the slots of [`super::Limiter`], and for the same reason.
pub(crate) struct Turns {
    lines: Box<[Semaphore]>,
    hasher: RandomState,
}

impl Turns {
    /// `places` for each client.
    pub(crate) fn new(places: NonZeroU32) -> Self {
        let line = || Semaphore::new(places.get() as usize);
        Self {
            lines: std::iter::repeat_with(line).take(LINES).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits for a place of this client. None if there are none to wait for, which does not happen: lines do not close.
    pub(crate) async fn turn(&self, client: impl Hash) -> Option<SemaphorePermit<'_>> {
        // The remainder is below LINES.
        let line = (self.hasher.hash_one(client) % LINES as u64) as usize;
        self.lines.get(line)?.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_client_waits_for_itself_only() {
        let turns = Turns::new(NonZeroU32::new(2).unwrap());
        let others = (1..100).find(|other| {
            turns.hasher.hash_one(other) % LINES as u64 != turns.hasher.hash_one(0) % LINES as u64
        });
        let first = turns.turn(0).now_or_never().flatten();
        let second = turns.turn(0).now_or_never().flatten();
        assert!(first.is_some() && second.is_some());
        let mut third = Box::pin(turns.turn(0));
        assert!(third.as_mut().now_or_never().is_none(), "it has two places");
        assert!(
            turns
                .turn(others.unwrap())
                .now_or_never()
                .flatten()
                .is_some()
        );
        drop(first);
        assert!(third.now_or_never().flatten().is_some());
    }
}
