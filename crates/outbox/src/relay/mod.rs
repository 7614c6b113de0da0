//! The relay: sends what the outbox holds.
//!
//! Two workers, each with half of the lanes, so that one publishes while the other commits. A worker does
//! one *pass* after another (pass.rs): lock lanes, read rows, publish, delete what was acknowledged.
//! Between passes it waits to be woken, and looks by itself now and then (worker.rs). What failed is held
//! back for a while, with everything behind it (holds.rs).

mod holds;
mod housekeeping;
mod pass;
mod publish;
mod replay;
mod row;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use messaging::{Publisher, Status};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tracing::Span;

use self::holds::Holds;
use crate::bounded::ANSWER_TIMEOUT;
use crate::{Outbox, lane};

/// Workers of one relay. Each holds one connection of the pool during a pass, none between passes.
const WORKERS: usize = 2;

/// A pool smaller than this gets one worker: the relay must not take what requests need.
const POOL_FOR_ALL_WORKERS: u32 = 4;

/// How a relay works.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// How often to look for rows without a wake-up: those of other processes, and those whose wake-up was
    /// lost with a crash.
    pub poll: Duration,
    /// Rows that one pass reads at most; up to [`MAX_EVENT_BYTES`](crate::MAX_EVENT_BYTES) each.
    pub batch: usize,
    /// For a broker that forgets when it stops: how long acknowledged rows (topics only) are kept, to be
    /// sent again when a relay starts. Zero, for every durable broker: a row is deleted when acknowledged.
    pub replay_window: Duration,
    /// How long an answer of the database is waited for, before its connection is closed and another one is tried: only a host
    /// that is gone without a word takes so long. 30 s; at least as long as the slowest statement may take.
    pub answer_timeout: Duration,
    /// The span of sending one message, given its destination, its headers and its payload. Whoever knows the tracing system makes it a
    /// child of the trace in the headers, and puts its own context there, so that the consumer's span follows from it.
    pub span: PublishSpan,
    /// What is done once the broker has a message, if anything: asked before it is sent, given its destination and its headers.
    pub published: Published,
}

/// See [`RelayOptions::span`].
pub type PublishSpan = fn(&str, &mut [(String, String)], &[u8]) -> Span;
/// See [`RelayOptions::published`].
pub type Published = fn(&str, &[(String, String)]) -> Option<Box<dyn FnOnce() + Send>>;

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(500),
            batch: 1000,
            replay_window: Duration::ZERO,
            answer_timeout: ANSWER_TIMEOUT,
            span: |_, _, _| Span::none(),
            published: |_, _| None,
        }
    }
}

/// What the parts of one relay share.
struct Shared {
    pool: PgPool,
    publisher: Arc<dyn Publisher>,
    options: RelayOptions,
    holds: Holds,
    status: Status,
}

/// Sends the rows of the outbox in `pool` through `publisher` until `shutdown` fires; then finishes the passes that
/// have begun and returns.
///
/// At least once, in order per key and destination, whatever fails: a row is deleted or marked only after the
/// broker has acknowledged it, and nothing overtakes a row that failed. Any number of relays may work on
/// the same outbox. Neither an absent database nor an absent broker ends the relay: it backs off, and tells
/// `status` of the broker. The database is the owner's of the pool, who watches it.
pub async fn relay(
    pool: PgPool,
    outbox: Outbox,
    publisher: Arc<dyn Publisher>,
    options: RelayOptions,
    status: Status,
    shutdown: CancellationToken,
) {
    let workers = if pool.options().get_max_connections() < POOL_FOR_ALL_WORKERS {
        1
    } else {
        WORKERS
    };
    let shared = Arc::new(Shared {
        pool,
        publisher,
        options,
        holds: Holds::default(),
        status,
    });

    // Before anything new: what a forgetful broker may have lost is older.
    if replay::put_back(&shared, &shutdown).await.is_break() {
        return;
    }

    // Dropping the set, when this future is dropped, stops its tasks.
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let lanes = lane::of_worker(worker, workers);
        let wakes = outbox.wakes(lanes);
        let worker = worker::run(Arc::clone(&shared), lanes, wakes, shutdown.clone());
        // In the caller's span: it says which service's relay this is.
        tasks.spawn(worker.in_current_span());
    }
    tasks.spawn(housekeeping::run(Arc::clone(&shared), shutdown).in_current_span());
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            // A bug, here or in the publisher. Half a relay would look alive: let the caller see it.
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
