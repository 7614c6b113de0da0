//! The results of recent calls: of the last N, or of those in the last period.
//!
//! What is exact and what is approximate: sequential calls are counted exactly. Calls that end at the same moment are all
//! counted, in some order; at least one failure among them is certain to see all of them (loom checks that), so that no
//! opening is missed. Two edges are approximate. A time-based window ends at a bucket's edge, so that it covers between
//! nine and ten tenths of its length. And a thread that is suspended between checking that its result still counts and
//! counting it, for as long as the breaker takes to open and close again (or a time-based window takes to pass), puts that
//! one result into a newer window. To exclude that, every result would have to be a compare-and-swap of the whole window.

use super::padded::Padded;
use super::sync::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// One call's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verdict {
    Success = 0,
    Failure = 1,
    /// Took too long; a failure whatever the result.
    Slow = 2,
}

/// The counts of the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) calls: u32,
    /// Includes the slow ones.
    pub(super) failures: u32,
    pub(super) slow: u32,
    /// Failures since the last success.
    pub(super) in_a_row: u32,
}

/// The window, and the failures in a row. With a window of calls all counts share one cache line, since they are
/// written together.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Window {
    in_a_row: AtomicU32,
    recent: Recent,
}

#[derive(Debug)]
enum Recent {
    Calls(LastCalls),
    Time(Box<LastWhile>),
}

impl Window {
    /// A window of the last `calls` calls.
    pub(super) fn of_calls(calls: u32) -> Self {
        Self::new(Recent::Calls(LastCalls::new(calls)))
    }

    /// A window of the last [`BUCKETS`] ticks.
    pub(super) fn of_time() -> Self {
        Self::new(Recent::Time(Box::default()))
    }

    fn new(recent: Recent) -> Self {
        Self {
            in_a_row: AtomicU32::new(0),
            recent,
        }
    }

    /// Counts one call. Only a failure returns the counts and can so open the breaker: a success that completes the
    /// minimum of calls, or that is counted when older successes leave the window, does not.
    #[inline]
    pub(super) fn record(&self, verdict: Verdict, tick: impl Fn() -> u32) -> Option<Seen> {
        if verdict == Verdict::Success {
            // Loaded first: storing a zero over a zero would still take the cache line away from other cores.
            if self.in_a_row.load(Ordering::Relaxed) != 0 {
                self.in_a_row.store(0, Ordering::Relaxed);
            }
            match &self.recent {
                Recent::Calls(calls) => calls.success(),
                Recent::Time(time) => time.success(tick()),
            }
            return None;
        }
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let seen = match &self.recent {
            Recent::Calls(calls) => calls.failure(verdict),
            Recent::Time(time) => time.failure(verdict, tick()),
        };
        Some(Seen { in_a_row, ..seen })
    }

    pub(super) fn seen(&self, tick: impl Fn() -> u32) -> Seen {
        let seen = match &self.recent {
            Recent::Calls(calls) => calls.seen(),
            Recent::Time(time) => time.seen(tick()),
        };
        Seen {
            in_a_row: self.in_a_row.load(Ordering::Relaxed),
            ..seen
        }
    }

    /// Removes all calls.
    pub(super) fn clear(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        match &self.recent {
            Recent::Calls(calls) => calls.clear(),
            Recent::Time(time) => time.clear(),
        }
    }
}

/// A ring of the last calls' verdicts.
///
/// When it is full of successes, one more changes nothing (all slots are equal, so that it does not matter which is the
/// oldest): a success of a healthy dependency writes nothing at all, and any number of cores can share the breaker
/// without passing a cache line around.
#[derive(Debug)]
struct LastCalls {
    /// A byte for each call: bits would be eight times smaller, and eight times as many calls would contend for a cache
    /// line.
    slots: Box<[AtomicU8]>,
    /// Calls that got a slot since the window was cleared; 64 bits do not overflow.
    calls: AtomicU64,
    /// The number of slots with a failure or a slow call, and of those with a slow call. Each is changed by the
    /// difference that a swap of a slot returned, so that no interleaving makes them drift; temporarily they may be
    /// negative.
    failures: AtomicI32,
    slow: AtomicI32,
}

impl LastCalls {
    fn new(calls: u32) -> Self {
        Self {
            calls: AtomicU64::new(0),
            failures: AtomicI32::new(0),
            slow: AtomicI32::new(0),
            slots: (0..calls).map(|_| AtomicU8::new(0)).collect(),
        }
    }

    fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    #[inline]
    fn success(&self) {
        let is_full = self.calls.load(Ordering::Relaxed) >= self.len();
        if is_full && self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.put(Verdict::Success);
    }

    fn failure(&self, verdict: Verdict) -> Seen {
        self.put(verdict);
        self.seen()
    }

    fn put(&self, verdict: Verdict) {
        let place = self.calls.fetch_add(1, Ordering::Relaxed) % self.len();
        self.set(&self.slots[place as usize], verdict);
    }

    fn set(&self, slot: &AtomicU8, verdict: Verdict) {
        let new = verdict as u8;
        if slot.load(Ordering::Relaxed) == new {
            return;
        }
        let old = slot.swap(new, Ordering::Relaxed);
        let change = |kinds: &[Verdict]| {
            let is = |value: u8| kinds.iter().any(|kind| *kind as u8 == value);
            i32::from(is(new)) - i32::from(is(old))
        };
        let slow = change(&[Verdict::Slow]);
        if slow != 0 {
            self.slow.fetch_add(slow, Ordering::Relaxed);
        }
        let failures = change(&[Verdict::Failure, Verdict::Slow]);
        if failures != 0 {
            // Release here and acquire in `seen`: the last failure sees the slots of all earlier calls.
            self.failures.fetch_add(failures, Ordering::AcqRel);
        }
    }

    fn seen(&self) -> Seen {
        let count = |count: &AtomicI32| count.load(Ordering::Acquire).max(0) as u32;
        let failures = count(&self.failures);
        let slow = count(&self.slow);
        let calls = self.calls.load(Ordering::Relaxed).min(self.len()) as u32;
        Seen {
            calls,
            failures: failures.min(calls),
            slow: slow.min(calls),
            in_a_row: 0,
        }
    }

    fn clear(&self) {
        for slot in &self.slots {
            self.set(slot, Verdict::Success);
        }
        self.calls.store(0, Ordering::Relaxed);
    }
}

/// The number of buckets of a time-based window, as in opossum; a bucket is one tick long and expires as a whole.
pub(super) const BUCKETS: u32 = 10;

/// The counts of the calls of the last ticks.
#[derive(Debug, Default)]
struct LastWhile {
    buckets: [Padded<Bucket>; BUCKETS as usize],
}

#[derive(Debug, Default)]
struct Bucket {
    calls: Counter,
    failures: Counter,
    slow: Counter,
}

impl LastWhile {
    fn bucket(&self, tick: u32) -> &Bucket {
        &self.buckets[(tick % BUCKETS) as usize].0
    }

    #[inline]
    fn success(&self, tick: u32) {
        self.bucket(tick).calls.add(tick);
    }

    fn failure(&self, verdict: Verdict, tick: u32) -> Seen {
        let bucket = self.bucket(tick);
        bucket.calls.add(tick);
        if verdict == Verdict::Slow {
            bucket.slow.add(tick);
        }
        bucket.failures.add(tick);
        // Two failures at the edge of a bucket write one bucket each and read the other's: without the fence each could
        // miss the other, and neither would open the breaker.
        fence(Ordering::SeqCst);
        self.seen(tick)
    }

    fn seen(&self, tick: u32) -> Seen {
        let sum = |counter: fn(&Bucket) -> &Counter| {
            let counts = self.buckets.iter().map(|b| counter(&b.0).at(tick));
            counts.fold(0_u32, u32::saturating_add)
        };
        // Failures are read first, so that a concurrent call is at most counted as an additional call, not as a
        // failure.
        let failures = sum(|b| &b.failures);
        let slow = sum(|b| &b.slow);
        Seen {
            calls: sum(|b| &b.calls),
            failures,
            slow,
            in_a_row: 0,
        }
    }

    fn clear(&self) {
        for Padded(bucket) in &self.buckets {
            for counter in [&bucket.calls, &bucket.failures, &bucket.slow] {
                counter.clear();
            }
        }
    }
}

/// A tick (upper half) and the calls counted in it (lower half).
#[derive(Debug)]
struct Counter(AtomicU64);

const COUNT: u64 = u32::MAX as u64;

impl Default for Counter {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Counter {
    #[inline]
    fn add(&self, tick: u32) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let age = tick.wrapping_sub((word >> 32) as u32) as i32;
            if age == 0 {
                // Cheaper under contention than a compare-and-swap, which may have to be repeated.
                self.0.fetch_add(1, Ordering::AcqRel);
                return;
            }
            if age < 0 {
                // The bucket is already in use for a newer tick: this call has left the window.
                return;
            }
            let first = u64::from(tick) << 32 | 1;
            match (self.0).compare_exchange_weak(word, first, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    /// The count, if its tick is still in the window. A newer tick counts as well, since two calls that end at the edge
    /// of a tick may arrive here in reverse order.
    fn at(&self, tick: u32) -> u32 {
        let word = self.0.load(Ordering::Acquire);
        let age = tick.wrapping_sub((word >> 32) as u32) as i32;
        if age < BUCKETS as i32 {
            (word & COUNT) as u32
        } else {
            0
        }
    }

    fn clear(&self) {
        self.0.fetch_and(!COUNT, Ordering::Relaxed);
    }
}
