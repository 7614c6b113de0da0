//! The last records of one service, in bounded memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use super::batch::Batch;
use super::entry::{Entry, HOP};
use super::known::Start;
use super::record::written;

/// The most bytes of records that a ring keeps; the oldest are dropped and counted. A record is some 500 bytes.
pub const RING_BYTES_MAX: usize = 512 * 1024;
/// How long recording continues after the last reader has gone: long enough for a reader that restarts or reconnects.
pub const LINGER: Duration = Duration::from_secs(60);
/// While more records than this wait to be read, a hop that ends before its start was read loses its start: the end says all of
/// it, and under load that is half of the records.
const WAITING_WITH_STARTS: u64 = 32;
/// The most readers of one ring.
const READERS_MAX: usize = 8;

/// How many rings are watched.
static WATCHED: AtomicUsize = AtomicUsize::new(0);

pub(super) fn is_any_watched() -> bool {
    WATCHED.load(Ordering::Relaxed) > 0
}

/// The records of one service. Nothing is kept while nobody reads.
#[derive(Debug)]
pub struct Ring {
    service: &'static str,
    /// Readers, and those that have gone less than [`LINGER`] ago.
    watchers: AtomicUsize,
    readers: AtomicUsize,
    kept: Mutex<Kept>,
    more: Notify,
}

#[derive(Debug)]
struct Kept {
    /// The place of the first record. Places grow over restarts of the process, too: they begin at the time.
    first: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    began: u64,
    /// The last place that a reader has got.
    read: u64,
}

impl Ring {
    pub(super) fn new(service: &'static str) -> Self {
        let began = super::now();
        Self {
            service,
            watchers: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            kept: Mutex::new(Kept {
                first: began,
                entries: VecDeque::new(),
                bytes: 0,
                began,
                read: 0,
            }),
            more: Notify::new(),
        }
    }

    /// The service whose records these are.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The bytes that its records take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Adds a record; the oldest make room for it. Returns its place.
    pub(super) fn push(&self, event: &'static str, record: &impl Serialize) -> Option<u64> {
        Some(self.add(Entry::written(event, written(record)?), None))
    }

    /// Adds the start of a hop.
    pub(super) fn push_start(&self, start: Start) -> u64 {
        self.add(Entry::start(start), None)
    }

    /// Adds the end of a hop whose start is at a place.
    pub(super) fn push_end(&self, record: Box<str>, start: Option<u64>) {
        self.add(Entry::written(HOP, record), start);
    }

    fn add(&self, entry: Entry, start: Option<u64>) -> u64 {
        let place = self.kept.lock().push(entry, start);
        self.more.notify_waiters();
        place
    }

    /// The records behind `after`, at most about `bytes_max` of them, and how many there were that are gone. Waits until
    /// there is one.
    pub(crate) async fn read(&self, after: u64, bytes_max: usize) -> Batch {
        self.until(|kept| kept.behind(after, bytes_max)).await
    }

    /// Waits until there is a record behind `after`, and leaves it.
    pub(crate) async fn wait(&self, after: u64) {
        self.until(|kept| (!kept.ends_at(after)).then_some(()))
            .await;
    }

    /// Waits until `look` finds something.
    async fn until<T>(&self, look: impl Fn(&mut Kept) -> Option<T>) -> T {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            // Registered before it looks, so that no record comes between.
            more.as_mut().enable();
            if let Some(found) = look(&mut self.kept.lock()) {
                return found;
            }
            more.await;
        }
    }

    /// The place behind which a new reader begins: before everything that is kept.
    pub(crate) fn beginning(&self) -> u64 {
        self.kept.lock().first - 1
    }

    /// One more reader; none if there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Reader> {
        let entered = self
            .readers
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |readers| {
                (readers < READERS_MAX).then_some(readers + 1)
            });
        entered.ok()?;
        if self.watchers.fetch_add(1, Ordering::AcqRel) == 0 {
            change(1);
        }
        Some(Reader(Arc::clone(self)))
    }

    fn leave(&self) {
        if self.watchers.fetch_sub(1, Ordering::AcqRel) == 1 {
            change(-1);
            // A reader that comes now was away for longer than records are kept.
            let mut kept = self.kept.lock();
            kept.first += kept.entries.len() as u64;
            kept.entries = VecDeque::new();
            kept.bytes = 0;
        }
    }
}

impl Kept {
    /// Adds an entry, and leaves out the start of the hop that it ends if it is at `start`, unread, among many.
    fn push(&mut self, entry: Entry, start: Option<u64>) -> u64 {
        let place = self.next();
        if let Some(start) = start.filter(|start| *start > self.read)
            && place - self.read.max(self.first) > WAITING_WITH_STARTS
        {
            self.leave_out(start);
        }
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while self.bytes > RING_BYTES_MAX
            && let Some(old) = self.entries.pop_front()
        {
            self.bytes -= old.bytes();
            self.first += 1;
        }
        place
    }

    fn leave_out(&mut self, place: u64) {
        let at = place.checked_sub(self.first);
        let at = at.and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            self.bytes -= entry.bytes();
            entry.leave_out();
            self.bytes += entry.bytes();
        }
    }

    /// The place of the next record.
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Whether a reader at this place has got everything. It may name any place, `u64::MAX` included.
    fn ends_at(&self, place: u64) -> bool {
        place.checked_add(1) == Some(self.next())
    }

    fn behind(&mut self, after: u64, bytes_max: usize) -> Option<Batch> {
        let next = self.next();
        if self.ends_at(after) {
            return None;
        }
        // A position of another process, or one that never existed: read from the beginning.
        let is_ours = after >= self.began.saturating_sub(1) && after < next;
        let (after, missed) = match is_ours {
            true => {
                let missed = self.first.saturating_sub(after + 1);
                (after.max(self.first - 1), missed)
            }
            false => (self.first - 1, 0),
        };
        let mut batch = Batch {
            last: after,
            ..Batch::default()
        };
        if missed > 0 {
            batch.event(after, "dropped", &format!("{{\"count\":{missed}}}"));
        }
        let skipped = usize::try_from(after + 1 - self.first).unwrap_or(usize::MAX);
        // About what they take, at once: a record counts for little more than its event has.
        let waiting = self.entries.len().saturating_sub(skipped);
        let room = waiting * self.bytes / self.entries.len().max(1);
        batch.text.reserve(room.min(bytes_max));
        for entry in self.entries.iter_mut().skip(skipped) {
            if batch.text.len() >= bytes_max {
                break;
            }
            batch.last += 1;
            self.bytes -= entry.bytes();
            let event = entry.event;
            if let Some(text) = entry.text() {
                batch.event(batch.last, event, text);
            }
            self.bytes += entry.bytes();
        }
        self.read = self.read.max(batch.last);
        (!batch.text.is_empty()).then_some(batch)
    }
}

/// A place among the readers, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reader(Arc<Ring>);

impl Reader {
    pub(crate) fn ring(&self) -> &Ring {
        &self.0
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::AcqRel);
        let ring = Arc::clone(&self.0);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    tokio::time::sleep(LINGER).await;
                    ring.leave();
                });
            }
            // The runtime has ended, and with it all that could be recorded.
            Err(_) => ring.leave(),
        }
    }
}

/// Counts watched rings. With the first and the last one, the callsites of [`super::TARGET`] are asked again.
fn change(by: isize) {
    let before = match by > 0 {
        true => WATCHED.fetch_add(1, Ordering::AcqRel),
        false => WATCHED.fetch_sub(1, Ordering::AcqRel),
    };
    if (by > 0 && before == 0) || (by < 0 && before == 1) {
        tracing::callsite::rebuild_interest_cache();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(batch: &Batch) -> Vec<u64> {
        let lines = batch
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("id:"));
        lines.map(|id| id.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_reader_goes_on_where_it_stopped() {
        let ring = Ring::new("test");
        let begin = ring.beginning();
        for n in 0..3 {
            ring.push("hop", &n);
        }
        let first = ring.read(begin, 1).await;
        assert_eq!(ids(&first), [begin + 1], "about as many bytes as asked for");
        let rest = ring.read(first.last, 1 << 20).await;
        assert_eq!(ids(&rest), [begin + 2, begin + 3]);
        assert!(rest.text.ends_with("data:2\n\n"));
        let next = ring.read(rest.last, 1);
        tokio::pin!(next);
        assert!(futures::poll!(next.as_mut()).is_pending());
        ring.push("hop", &"more");
        assert_eq!(next.await.last, begin + 4);
    }

    #[tokio::test]
    async fn a_start_is_left_out_if_its_end_is_read_with_it_among_many() {
        let ring = Ring::new("test");
        let begin = ring.beginning();
        for n in 0..WAITING_WITH_STARTS {
            ring.push("hop", &n);
        }
        let start = ring.push("hop", &"starts");
        ring.push_end("\"ends\"".into(), start);
        let read = ring.read(begin, 1 << 20).await;
        assert_eq!(read.last, begin + WAITING_WITH_STARTS + 2);
        assert!(!read.text.contains("starts") && read.text.contains("ends"));

        let start = ring.push("hop", &"starts");
        ring.push_end("\"ends\"".into(), start);
        let few = ring.read(read.last, 1 << 20).await;
        assert!(few.text.contains("starts") && few.text.contains("ends"));

        let start = ring.push("hop", &"starts");
        let seen = ring.read(few.last, 1 << 20).await;
        for n in 0..2 * WAITING_WITH_STARTS {
            ring.push("hop", &n);
        }
        ring.push_end("\"ends\"".into(), start);
        let again = ring.read(few.last, 1 << 20).await;
        assert!(again.text.starts_with(&seen.text), "it was read before");
    }

    #[tokio::test]
    async fn what_is_too_much_is_dropped_and_counted() {
        let ring = Ring::new("test");
        let begin = ring.beginning();
        let big = "x".repeat(10_000);
        for _ in 0..200 {
            ring.push("hop", &big);
            assert!(ring.bytes() <= RING_BYTES_MAX);
        }
        let batch = ring.read(begin, 1 << 30).await;
        let kept = ids(&batch).len() - 1;
        assert!((40..=52).contains(&kept), "{kept}");
        let dropped = format!("event:dropped\ndata:{{\"count\":{}}}\n", 200 - kept);
        assert!(batch.text.contains(&dropped), "{dropped}");
    }

    #[tokio::test]
    async fn a_place_of_another_run_begins_anew() {
        let ring = Ring::new("test");
        ring.push("hop", &1);
        let begin = ring.beginning();
        for strange in [0, 1, begin - 1000, u64::MAX - 1, u64::MAX] {
            let batch = ring.read(strange, 1 << 20).await;
            assert_eq!(ids(&batch), [begin + 1], "{strange}");
            assert!(!batch.text.contains("dropped"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn recording_ends_a_while_after_the_last_reader() {
        let ring = Arc::new(Ring::new("lingering"));
        assert!(!ring.is_watched());
        let readers: Vec<_> = (0..READERS_MAX).map(|_| ring.enter().unwrap()).collect();
        assert!(ring.enter().is_none(), "no place");
        ring.push("hop", &1);
        drop(readers);
        tokio::time::sleep(LINGER / 2).await;
        assert!(ring.is_watched() && ring.bytes() > 0);
        tokio::time::sleep(LINGER).await;
        assert!(!ring.is_watched());
        assert_eq!(ring.bytes(), 0);
    }
}
