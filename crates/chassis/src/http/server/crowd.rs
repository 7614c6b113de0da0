//! The connections of one server: how many each address has, which of them are idle, and which one is closed when a
//! limit is reached.

mod open;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::waiting::Waiting;
use crate::proxies::{Origin, Site};
use crate::stalls::{Seat, Stalls};

pub(super) use open::Open;

/// How long a well-behaved client may need from its connection to its first request, in milliseconds. For that time the
/// connection is not closed in favour of another address.
const FIRST_REQUEST_MS: u64 = 250;
/// The same after an answer: a client that sends one request after another has its next one on the way, and a
/// connection that is closed at that moment looks like a broken server.
const NEXT_REQUEST_MS: u64 = 1_000;
/// How long a client must have kept all answers of a connection waiting, or a request, before that ends to make room.
const STALLED: Duration = Duration::from_secs(1);
/// So many counters of sites are kept at least, whether the sites are there or not.
const SPARE: usize = 64;

/// The connections of one server.
#[derive(Debug)]
pub(super) struct Crowd {
    /// The most connections of one address.
    pub(super) connections_max: usize,
    /// The most unfinished requests of one site.
    pub(super) requests_max: usize,
    /// Requests whose senders have stalled.
    pub(super) senders: Stalls,
    /// Answers whose readers have stalled.
    pub(super) readers: Stalls,
    /// Connections that wait for the rest of a head.
    pub(super) heads: Stalls,
    begun: Instant,
    roster: Mutex<Roster>,
}

#[derive(Debug, Default)]
struct Roster {
    next: u64,
    groups: HashMap<Option<Origin>, Group>,
    /// The number of unfinished requests of each site. Those of sites that have gone are removed now and then.
    open: HashMap<Site, Weak<AtomicUsize>>,
}

/// The connections of one address. The peers that are exempt from limits by address form one group.
#[derive(Debug, Default)]
struct Group {
    connections: BTreeMap<u64, Arc<Connection>>,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) origin: Option<Origin>,
    /// Ends when the connection has to make room.
    pub(super) seat: Arc<Seat>,
    open: AtomicUsize,
    /// The bytes that came since the last request: those of a head that is not complete yet. After a change of the protocol
    /// those of an incomplete message.
    pub(super) unfinished: AtomicUsize,
    /// The bytes of answers that HTTP/2 has taken over and not written.
    handed: AtomicUsize,
    /// Its answers that wait for its reader.
    pub(super) waiting: Waiting,
    open_of_site: Arc<AtomicUsize>,
    spoke: AtomicBool,
    /// Whether it speaks another protocol by now.
    is_upgraded: AtomicBool,
    /// Whether it speaks HTTP/2.
    has_streams: AtomicBool,
    idle_since_ms: AtomicU64,
}

impl Crowd {
    pub(super) fn new(connections_max: usize, requests_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connections_max,
            requests_max,
            senders: Stalls::default(),
            readers: Stalls::default(),
            heads: Stalls::default(),
            begun: Instant::now(),
            roster: Mutex::default(),
        })
    }

    /// Adds a connection. If its address has reached its limit, its longest idle connection is closed, or one that waits for its
    /// reader, or a request that waits for its sender is ended; `None` if all of them are busy.
    pub(super) fn enter(self: &Arc<Self>, origin: Option<Origin>) -> Option<Guest> {
        let now_ms = self.now_ms();
        let mut roster = self.roster();
        let key = roster.next;
        roster.next += 1;
        let open_of_site = roster.open_of_site(origin);
        let group = roster.groups.entry(origin).or_default();
        if origin.is_some()
            && group.connections.len() >= self.connections_max
            && !group.close_idlest(now_ms, true)
            && !group.close_unread()
            && self
                .senders
                .end_longest_of(origin, Duration::ZERO)
                .is_none()
        {
            return None;
        }
        let connection = Arc::new(Connection {
            origin,
            seat: Arc::default(),
            open: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            handed: AtomicUsize::new(0),
            waiting: Waiting::default(),
            open_of_site,
            spoke: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
            has_streams: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(now_ms),
        });
        group.connections.insert(key, Arc::clone(&connection));
        Some(Guest {
            crowd: Arc::clone(self),
            connection,
            key,
        })
    }

    /// Closes the longest idle connection of the address with the most connections, of the site with the most. Returns false if
    /// none is idle: a connection whose next request may be on its way is not closed. Connections that never sent a request are
    /// closed before those that are idle between two requests.
    ///
    /// Sites come first, since whoever has a whole one can make a new address for each connection (ADR 54).
    pub(super) fn close_idlest(&self) -> bool {
        let now_ms = self.now_ms();
        let mut roster = self.roster();
        let mut groups = roster.fullest_first().into_iter();
        groups.any(|(_, group)| group.close_idlest(now_ms, false))
    }

    /// The same for who is not idle but keeps us waiting: closes the connection that has waited longest for nothing but its reader,
    /// or ends the request that has waited longest for its sender.
    ///
    /// One address after the other, not one kind after the other: a single slow reader would make room for somebody with ten
    /// thousand stalled senders.
    pub(super) fn end_stalled(&self) -> bool {
        let mut roster = self.roster();
        let mut groups = roster.fullest_first().into_iter();
        groups.any(|(origin, group)| {
            group.close_unread() || self.senders.end_longest_of(origin, STALLED).is_some()
        })
    }

    /// The number of connections of addresses that are not exempt.
    pub(super) fn strangers(&self) -> usize {
        self.strangers_that(|_| true)
    }

    /// The number of those that are idle.
    pub(super) fn strangers_idle(&self) -> usize {
        self.strangers_that(Connection::is_idle)
    }

    fn strangers_that(&self, count: impl Fn(&Connection) -> bool) -> usize {
        let roster = self.roster();
        let strangers = roster.groups.iter().filter(|(origin, _)| origin.is_some());
        let connections = strangers.flat_map(|(_, group)| group.connections.values());
        connections.filter(|one| count(one)).count()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock()
    }
}

impl Roster {
    /// The counter of unfinished requests that all connections of a site share. Those of peers that are exempt are not bounded.
    fn open_of_site(&mut self, origin: Option<Origin>) -> Arc<AtomicUsize> {
        let Some(origin) = origin else {
            return Arc::default();
        };
        // Twice as many as are needed, so that the search costs each new connection next to nothing.
        if self.open.len() > 2 * self.groups.len() + SPARE {
            self.open.retain(|_, open| open.strong_count() > 0);
        }
        let open = self.open.entry(origin.site()).or_default();
        open.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *open = Arc::downgrade(&new);
            new
        })
    }

    /// The groups in the order in which they make room. Sorted when it is needed: only when there is no place for one more.
    fn fullest_first(&mut self) -> Vec<(Option<Origin>, &mut Group)> {
        let mut of_sites = HashMap::<Option<Site>, usize>::new();
        for (origin, group) in &self.groups {
            *of_sites.entry(origin.map(Origin::site)).or_default() += group.connections.len();
        }
        let mut groups: Vec<_> = self.groups.iter_mut().collect();
        groups.sort_by_key(|(origin, group)| {
            let of_site = of_sites.get(&origin.map(Origin::site)).copied();
            std::cmp::Reverse((origin.is_some(), of_site, group.connections.len()))
        });
        let groups = groups.into_iter();
        groups.map(|(origin, group)| (*origin, group)).collect()
    }
}

impl Group {
    fn close_idlest(&mut self, now_ms: u64, also_fresh: bool) -> bool {
        let idle = self.connections.iter().filter(|(_, connection)| {
            // Its last answer may still be written, to a reader that takes its time.
            let is_idle = connection.is_idle() && connection.unread_for().is_none();
            is_idle && (also_fresh || !connection.is_fresh(now_ms))
        });
        let idlest = idle.min_by_key(|(_, connection)| connection.worth(now_ms));
        let key = idlest.map(|(key, _)| *key);
        self.close(key)
    }

    fn close_unread(&mut self) -> bool {
        let unread = self.connections.iter().filter_map(|(key, connection)| {
            let waited = connection.unread_for()?;
            (waited >= STALLED).then_some((waited, *key))
        });
        let key = unread.max().map(|(_, key)| key);
        self.close(key)
    }

    /// Closes this connection. Returns false for none.
    fn close(&mut self, key: Option<u64>) -> bool {
        // Removed from the list at once, so that it is not chosen again and does not count while it closes.
        let connection = key.and_then(|key| self.connections.remove(&key));
        connection.is_some_and(|connection| {
            connection.seat.end();
            true
        })
    }
}

impl Connection {
    pub(super) fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// For how long it has waited for nothing but its reader; `None` if it does not.
    fn unread_for(&self) -> Option<Duration> {
        self.waiting.of_all(self.open.load(Ordering::Acquire))
    }

    /// Whether it loses no work if it is closed.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_idle() || self.unread_for().is_some()
    }

    /// Some bytes came. While a request is open they are of a body, which is counted elsewhere.
    pub(super) fn received(&self, bytes: usize) {
        if self.is_idle() || self.is_upgraded() {
            self.unfinished.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The bytes of the head, or of the message of another protocol, that it waits for.
    pub(super) fn bytes_unfinished(&self) -> usize {
        if self.is_idle() || self.is_upgraded() {
            self.unfinished.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    /// Whether it has changed its protocol.
    pub(super) fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Acquire)
    }

    /// It speaks HTTP/2, and one more stream of it begins.
    pub(super) fn begins_stream(&self) {
        self.has_streams.store(true, Ordering::Relaxed);
    }

    /// Whether it speaks HTTP/2: then its answers do not wait for each other.
    pub(super) fn has_streams(&self) -> bool {
        self.has_streams.load(Ordering::Relaxed)
    }

    /// HTTP/2 takes over so many bytes of an answer.
    pub(super) fn takes_over(&self, bytes: usize) {
        self.handed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of them are written, or dropped.
    pub(super) fn gives_back(&self, bytes: usize) {
        self.handed.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The bytes that HTTP/2 holds of its answers.
    pub(super) fn bytes_handed(&self) -> usize {
        self.handed.load(Ordering::Relaxed)
    }

    /// Whether its next request may be about to arrive.
    fn is_fresh(&self, now_ms: u64) -> bool {
        let until = match self.spoke.load(Ordering::Relaxed) {
            true => NEXT_REQUEST_MS,
            false => FIRST_REQUEST_MS,
        };
        now_ms.saturating_sub(self.idle_since_ms.load(Ordering::Relaxed)) < until
    }

    /// The order of closing, lowest first: connections that never sent a request, then those that are idle longest
    /// between two requests, and last those whose next request may be about to arrive.
    fn worth(&self, now_ms: u64) -> (bool, bool, u64) {
        let since = self.idle_since_ms.load(Ordering::Relaxed);
        (
            self.is_fresh(now_ms),
            self.spoke.load(Ordering::Relaxed),
            since,
        )
    }
}

/// A connection in the list; dropping it removes it.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) crowd: Arc<Crowd>,
    pub(super) connection: Arc<Connection>,
    key: u64,
}

impl Guest {
    /// Whether a request was ever received on this connection.
    pub(super) fn spoke(&self) -> bool {
        self.connection.spoke.load(Ordering::Relaxed)
    }

    /// For how long there has been no open request.
    pub(super) fn idle(&self) -> Duration {
        if !self.connection.is_idle() {
            return Duration::ZERO;
        }
        let since = self.connection.idle_since_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.crowd.now_ms().saturating_sub(since))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut roster = self.crowd.roster();
        let origin = self.connection.origin;
        if let Some(group) = roster.groups.get_mut(&origin) {
            group.connections.remove(&self.key);
            if group.connections.is_empty() {
                roster.groups.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests;
