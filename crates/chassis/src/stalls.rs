//! Lists of stalled clients, in the order in which they stalled: when a limit is reached, the one that has been stalled
//! longest is ended to make room.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::proxies::{Origin, Site};

/// A stalled operation that may be told to make room. Its task polls [`Seat::poll_ended`].
#[derive(Debug, Default)]
pub(crate) struct Seat {
    ended: AtomicBool,
    waker: AtomicWaker,
    /// The bytes that are freed when it ends, counted by the code that limits them.
    bytes: AtomicUsize,
}

impl Seat {
    /// Tells it to make room. This cannot be undone.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it was told to make room.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ready once it has to make room.
    pub(crate) fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.has_ended() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// The bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Sets the bytes that it holds, and returns the previous number.
    pub(crate) fn hold(&self, bytes: usize) -> usize {
        self.bytes.swap(bytes, Ordering::AcqRel)
    }
}

/// The list of stalled clients. Cheap to clone; clones share one list.
///
/// Only stalled clients touch it, so that it costs the others nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stalls(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    next: u64,
    /// By origin, so that one client with many entries can be told apart from many clients with one each. `None`: peers
    /// that are exempt from limits by address.
    waiting: HashMap<Option<Origin>, Group>,
    total: usize,
    bytes: usize,
}

/// The entries of one origin.
#[derive(Debug, Default)]
struct Group {
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    seat: Arc<Seat>,
    since: Instant,
    /// What the seat held when it joined.
    bytes: usize,
}

impl Stalls {
    /// Adds an entry at the end of the list; the guard removes it when it is dropped.
    pub(crate) fn join(&self, origin: Option<Origin>, seat: &Arc<Seat>) -> Stalled {
        let mut line = self.line();
        let key = line.next;
        let bytes = seat.bytes();
        line.next += 1;
        line.total += 1;
        line.bytes += bytes;
        let entry = Entry {
            seat: Arc::clone(seat),
            since: Instant::now(),
            bytes,
        };
        let of = line.waiting.entry(origin).or_default();
        of.bytes += bytes;
        of.entries.insert(key, entry);
        Stalled {
            stalls: self.clone(),
            origin,
            key,
        }
    }

    /// The number of entries in total, and of this origin.
    pub(crate) fn count(&self, origin: Option<Origin>) -> (usize, usize) {
        let line = self.line();
        (
            line.total,
            line.waiting.get(&origin).map_or(0, |of| of.entries.len()),
        )
    }

    /// The bytes that the entries held when they joined, in total, and those of this origin.
    pub(crate) fn bytes(&self, origin: Option<Origin>) -> (usize, usize) {
        let line = self.line();
        (
            line.bytes,
            line.waiting.get(&origin).map_or(0, |of| of.bytes),
        )
    }

    /// Ends the entry of this origin that has been stalled longest, if for at least `patience`. Returns its seat.
    pub(crate) fn end_longest_of(
        &self,
        origin: Option<Origin>,
        patience: Duration,
    ) -> Option<Arc<Seat>> {
        let seat = self.line().take(origin, patience)?;
        seat.end();
        Some(seat)
    }

    /// The same for the origin with the most entries at this site, however long they have been stalled.
    pub(crate) fn end_longest_at(&self, site: Site) -> Option<Arc<Seat>> {
        let seat = {
            let mut line = self.line();
            let at_site = line
                .waiting
                .iter()
                .filter(|(origin, _)| origin.map(Origin::site) == Some(site));
            let fullest = at_site.max_by_key(|(_, of)| of.entries.len());
            let origin = fullest.map(|(origin, _)| *origin)?;
            line.take(origin, Duration::ZERO)?
        };
        seat.end();
        Some(seat)
    }

    /// The same for the origin with the most entries, of the site with the most. An exempt one is chosen only if there is no
    /// other.
    pub(crate) fn end_longest(&self, patience: Duration) -> Option<Arc<Seat>> {
        self.end_longest_of_most(patience, |of| of.entries.len())
    }

    /// The same for the origin whose entries hold the most bytes, of the site whose entries do, however long they have been
    /// stalled.
    pub(crate) fn end_longest_of_heaviest(&self) -> Option<Arc<Seat>> {
        self.end_longest_of_most(Duration::ZERO, |of| of.bytes)
    }

    /// Ends entries while those of this origin hold more than `of_origin` bytes, and then while all hold more than `of_all`: the
    /// longest stalled of this origin, and the longest stalled of the origin that holds most, of the site that does. Who is exempt
    /// is not bounded by itself.
    pub(crate) fn make_room(&self, origin: Option<Origin>, of_origin: usize, of_all: usize) {
        if origin.is_some() {
            while self.bytes(origin).1 > of_origin {
                if self.end_longest_of(origin, Duration::ZERO).is_none() {
                    break;
                }
            }
        }
        while self.bytes(origin).0 > of_all {
            if self.end_longest_of_heaviest().is_none() {
                break;
            }
        }
    }

    fn end_longest_of_most(
        &self,
        patience: Duration,
        weight: impl Fn(&Group) -> usize,
    ) -> Option<Arc<Seat>> {
        let seat = {
            let mut line = self.line();
            // Sites come first: one client with a whole site can have one entry in each of its networks (ADR 54).
            let mut of_sites = HashMap::<Option<Site>, usize>::new();
            for (origin, of) in &line.waiting {
                *of_sites.entry(origin.map(Origin::site)).or_default() += weight(of);
            }
            let of_site =
                |origin: &Option<Origin>| of_sites.get(&origin.map(Origin::site)).copied();
            let mut origins: Vec<_> = line
                .waiting
                .iter()
                .map(|(origin, of)| (origin.is_some(), of_site(origin), weight(of), *origin))
                .collect();
            origins.sort_unstable_by(|a, b| b.cmp(a));
            origins
                .into_iter()
                .find_map(|(_, _, _, origin)| line.take(origin, patience))?
        };
        seat.end();
        Some(seat)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock()
    }
}

impl Line {
    fn take(&mut self, origin: Option<Origin>, patience: Duration) -> Option<Arc<Seat>> {
        let (&key, entry) = self.waiting.get(&origin)?.entries.first_key_value()?;
        if entry.since.elapsed() < patience {
            return None;
        }
        self.remove(origin, key)
    }

    fn remove(&mut self, origin: Option<Origin>, key: u64) -> Option<Arc<Seat>> {
        let of = self.waiting.get_mut(&origin)?;
        let entry = of.entries.remove(&key)?;
        of.bytes -= entry.bytes;
        self.total -= 1;
        self.bytes -= entry.bytes;
        if of.entries.is_empty() {
            self.waiting.remove(&origin);
        }
        Some(entry.seat)
    }
}

/// An entry in the list; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Stalled {
    stalls: Stalls,
    origin: Option<Origin>,
    key: u64,
}

impl Stalled {
    /// The list that it is in.
    pub(crate) fn line(&self) -> &Stalls {
        &self.stalls
    }

    /// Sets the bytes that its seat holds. Nothing changes if it was ended.
    pub(crate) fn hold(&self, bytes: usize) {
        let mut line = self.stalls.line();
        let line = &mut *line;
        let Some(of) = line.waiting.get_mut(&self.origin) else {
            return;
        };
        let Some(entry) = of.entries.get_mut(&self.key) else {
            return;
        };
        entry.seat.hold(bytes);
        let before = std::mem::replace(&mut entry.bytes, bytes);
        of.bytes = of.bytes - before + bytes;
        line.bytes = line.bytes - before + bytes;
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.stalls.line().remove(self.origin, self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn origin(last: u8) -> Option<Origin> {
        Some(Origin::from(IpAddr::from([10, 0, 0, last])))
    }

    #[tokio::test]
    async fn a_site_is_one_client_however_many_networks_it_has() {
        let stalls = Stalls::default();
        let seat = |bytes| {
            let seat = Arc::<Seat>::default();
            seat.hold(bytes);
            seat
        };
        let nat: Vec<_> = (0..2).map(|_| seat(10)).collect();
        let site: Vec<_> = (0..3).map(|_| seat(9)).collect();
        let _of_nat: Vec<_> = nat.iter().map(|it| stalls.join(origin(1), it)).collect();
        let network = |n| Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 1);
        let join = |(n, seat)| stalls.join(Some(IpAddr::from(network(n)).into()), seat);
        let _of_site: Vec<_> = (0..).zip(&site).map(join).collect();
        assert!(stalls.end_longest_of_heaviest().is_some());
        let ended = |seats: &[Arc<Seat>]| seats.iter().filter(|seat| seat.has_ended()).count();
        assert_eq!((ended(&nat), ended(&site)), (0, 1), "27 bytes, against 20");
        stalls.make_room(None, 0, 20);
        assert_eq!((ended(&nat), ended(&site)), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_of_whom_there_are_most_makes_room() {
        let stalls = Stalls::default();
        let seats: Vec<_> = (0..4).map(|_| Arc::new(Seat::default())).collect();
        let _neighbour = stalls.join(origin(1), &seats[0]);
        let first = stalls.join(origin(2), &seats[1]);
        let _second = stalls.join(origin(2), &seats[2]);
        let _exempt = stalls.join(None, &seats[3]);
        assert_eq!(stalls.count(origin(2)), (4, 2));
        assert!(
            stalls.end_longest(Duration::from_secs(1)).is_none(),
            "nobody is late yet"
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(stalls.end_longest(Duration::from_secs(1)).is_some());
        assert!(seats[1].has_ended() && !seats[0].has_ended() && !seats[2].has_ended());
        drop(first);
        assert!(stalls.end_longest_of(origin(3), Duration::ZERO).is_none());
        for _ in 0..2 {
            assert!(stalls.end_longest(Duration::ZERO).is_some());
        }
        assert!(seats[0].has_ended() && seats[2].has_ended() && !seats[3].has_ended());
        assert!(
            stalls.end_longest(Duration::ZERO).is_some(),
            "the exempt go last"
        );
        assert_eq!(stalls.count(None), (0, 0));
    }
}
