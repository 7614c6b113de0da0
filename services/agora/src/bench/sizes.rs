//! How much work is done for each figure.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::load::Pace;

/// The amounts of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Warm starts.
    pub(super) starts: usize,
    /// How long it is idle before its memory is measured.
    pub(super) rest: Duration,
    /// Orders of a quiet shop, one after the other.
    pub(super) quiet: usize,
    /// Sign-ins, and how many of them at a time.
    pub(super) sign_ins: usize,
    pub(super) sign_ins_at_a_time: usize,
    /// Concurrent callers in a closed loop, and clients of pgbench.
    pub(super) callers: NonZeroU32,
    /// How long connections, statements and caches are warmed.
    pub(super) warm: Duration,
    /// How long orders are sent for the figures of a busy shop, with the relay held still, and for each count of statements.
    pub(super) busy: Duration,
    pub(super) held: Duration,
    pub(super) counted: Duration,
    pub(super) pgbench: Duration,
    /// The delay after which PostgreSQL's sessions have reported their statistics.
    pub(super) told: Duration,
    /// Events a second on the stream, for so many seconds, after seconds that are not counted.
    pub(super) stream_rate: NonZeroU32,
    pub(super) stream_secs: u32,
    pub(super) stream_warm_secs: u32,
}

impl Sizes {
    /// For figures.
    pub(super) const FULL: Self = Self {
        starts: 3,
        rest: Duration::from_secs(8),
        quiet: 100,
        sign_ins: 200,
        sign_ins_at_a_time: 16,
        callers: NonZeroU32::new(32).expect("above zero"),
        warm: Duration::from_secs(2),
        busy: Duration::from_secs(10),
        held: Duration::from_secs(5),
        counted: Duration::from_secs(8),
        pgbench: Duration::from_secs(10),
        told: Duration::from_millis(5_500),
        stream_rate: NonZeroU32::new(1_000).expect("above zero"),
        stream_secs: 5,
        stream_warm_secs: 3,
    };

    /// To see that each row can be measured.
    pub(super) const QUICK: Self = Self {
        starts: 1,
        rest: Duration::from_millis(100),
        quiet: 3,
        sign_ins: 4,
        sign_ins_at_a_time: 2,
        callers: NonZeroU32::new(4).expect("above zero"),
        warm: Duration::from_millis(200),
        busy: Duration::from_secs(1),
        held: Duration::from_millis(500),
        counted: Duration::from_secs(1),
        pgbench: Duration::from_secs(1),
        told: Duration::from_millis(1_200),
        stream_rate: NonZeroU32::new(50).expect("above zero"),
        stream_secs: 1,
        stream_warm_secs: 1,
    };

    pub(super) const fn all_callers(&self) -> Pace {
        Pace::Closed(self.callers)
    }
}
