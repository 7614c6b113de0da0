//! Answers that wait for their readers: how long each of them may, and how many bytes all of them may hold.
//!
//! An answer that waits for its reader is in memory. Its bytes count while it waits: beyond the limit of an address, the answer
//! of that address that has waited longest ends; beyond the limit of the server, the one of the address that holds most.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::proxies::Origin;
use crate::stalls::{Seat, Stalled, Stalls};

/// How many answers may wait for the readers of one address; beyond that each waits only for [`CROWDED_PATIENCE`].
const READERS_MAX: usize = 128;
/// See [`READERS_MAX`]. Longer than a slow connection needs for one piece.
const CROWDED_PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes of answers that wait for the readers of one address: a quarter of a MiB for each of [`READERS_MAX`], which is
/// more than a page of a list usually has, or 32 of the largest pages.
const ADDRESS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most bytes of answers that wait for readers at one server. Less than the clients of peers read ahead in all, so that
/// what waits here does not use that up.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The least change of what an answer holds that is noted.
const STEP: usize = 64 * 1024;

/// An answer that waits for its reader, until the reader accepts more or the answer ends.
pub(super) struct Unread {
    origin: Option<Origin>,
    seat: Arc<Seat>,
    /// Set once it stands in line.
    in_line: Option<Stalled>,
    sleep: Pin<Box<Sleep>>,
    patience: Duration,
    /// Whether the first, shorter limit has passed.
    is_late: bool,
}

impl Unread {
    /// Begins to wait with `bytes` in memory, and ends others if that is too much.
    pub(super) fn begin(
        readers: &Stalls,
        origin: Option<Origin>,
        bytes: usize,
        patience: Duration,
    ) -> Self {
        let mut unread = Self {
            origin,
            seat: Arc::default(),
            in_line: None,
            sleep: Box::pin(sleep(CROWDED_PATIENCE.min(patience))),
            patience,
            is_late: false,
        };
        unread.seat.hold(bytes);
        unread.in_line = Some(readers.join(origin, &unread.seat));
        readers.make_room(origin, ADDRESS_BYTES_MAX, BYTES_MAX);
        unread
    }

    /// Holds so many bytes from now on, and ends others if that is too much.
    pub(super) fn holds(&self, readers: &Stalls, bytes: usize) {
        if let Some(in_line) = &self.in_line
            && bytes.abs_diff(self.seat.bytes()) >= STEP
        {
            in_line.hold(bytes);
            readers.make_room(self.origin, ADDRESS_BYTES_MAX, BYTES_MAX);
        }
    }

    /// Ready when the reader has used up its time, or has to make room for others.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.seat.poll_ended(cx).is_ready() {
            return Poll::Ready(());
        }
        std::task::ready!(self.sleep.as_mut().poll(cx));
        if self.is_late || self.origin.is_some() && self.is_crowded() {
            return Poll::Ready(());
        }
        self.is_late = true;
        let rest = self.patience.saturating_sub(CROWDED_PATIENCE);
        self.sleep = Box::pin(sleep(rest));
        self.sleep.as_mut().poll(cx)
    }

    fn is_crowded(&self) -> bool {
        let line = self.in_line.as_ref().map(Stalled::line);
        line.is_some_and(|line| line.count(self.origin).1 > READERS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn begin(readers: &Stalls, last: u8, bytes: usize) -> Unread {
        let origin = (last > 0).then(|| IpAddr::from([10, 0, 0, last]).into());
        Unread::begin(readers, origin, bytes, PATIENCE)
    }

    fn ended(all: &[Unread]) -> usize {
        all.iter().filter(|unread| unread.seat.has_ended()).count()
    }

    #[tokio::test]
    async fn an_address_makes_room_for_itself_and_the_heaviest_for_all() {
        let readers = Stalls::default();
        let part = ADDRESS_BYTES_MAX / 8;
        let mut own: Vec<_> = (0..8).map(|_| begin(&readers, 1, part)).collect();
        assert_eq!(ended(&own), 0);
        own.push(begin(&readers, 1, part));
        assert_eq!(ended(&own), 1);
        assert!(own[0].seat.has_ended(), "the longest of its own");

        // A third address, after two that hold half each.
        let second: Vec<_> = (0..7).map(|_| begin(&readers, 2, part)).collect();
        let small: Vec<_> = (0..100).map(|_| begin(&readers, 3, 1)).collect();
        assert_eq!((ended(&own), ended(&second), ended(&small)), (1, 0, 0));
        let third = [begin(&readers, 4, part)];
        assert_eq!((ended(&own), ended(&second)), (2, 0));
        assert_eq!((ended(&small), ended(&third)), (0, 0));

        // Who is exempt is in no count by address, and ends last.
        drop((own, second, small, third));
        assert_eq!(readers.bytes(None), (0, 0));
        let exempt: Vec<_> = (0..16).map(|_| begin(&readers, 0, part)).collect();
        assert_eq!(ended(&exempt), 0);
        let client = [begin(&readers, 1, 1)];
        assert_eq!((ended(&exempt), ended(&client)), (0, 1));
    }
}
