//! A consumer: claims and handles up to `concurrency` messages at once, until shutdown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backoff::Backoff;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::store::{self, Claimed};
use super::work::Worker;
use super::{ConsumeOptions, PgQueue, SYSTEM};
use crate::observe::Place;
use crate::{Handler, Status, names};

/// The longest pause between two tries to reach the database.
const RECONNECT_CAP: Duration = Duration::from_secs(5);
/// How long a claim may take, or to declare or to measure the queue, before the database counts as away.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the length of the queue is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// After a claim that found something, what arrives within a pause is claimed together, and so are the messages for
/// hands that become free within it. A message that comes after a quiet moment is claimed at once all the same.
///
/// The pause is twice as long as the claim took, within these bounds: the busier the machine, the more there is to be saved.
const GATHER: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(25));

/// Runs until `shutdown`, then until the messages in progress are finished or the drain time is over.
pub(super) async fn run(
    queue: &PgQueue,
    name: &str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    status: Status,
    shutdown: CancellationToken,
) {
    let worker = Arc::new(Worker::new(queue.pool.clone(), name, options, handler));
    let mut tasks = JoinSet::new();
    let mut claims = Claims {
        queue,
        name,
        worker: &worker,
        shutdown: &shutdown,
        status,
        backoff: Backoff::new(Duration::from_millis(100), RECONNECT_CAP),
    };
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(worker.options.drain).await;
    };
    let all_done = async {
        claims.run(&mut tasks).await;
        while tasks.join_next().await.is_some() {}
    };
    let cut_off = tokio::select! {
        never = measure(queue, name) => match never {},
        () = all_done => false,
        () = late => true,
    };
    if cut_off {
        tasks.shutdown().await;
        worker.give_back().await;
    }
}

/// Measures how many messages wait, for as long as this is polled.
async fn measure(queue: &PgQueue, name: &str) -> Infallible {
    let lag = Place {
        system: SYSTEM,
        destination: name,
        group: None,
    }
    .lag();
    loop {
        let waiting = store::waiting(&queue.pool, name);
        // The consumer reports an absent database.
        match tokio::time::timeout(CLAIM_TIMEOUT, waiting).await {
            Ok(Ok(waiting)) => lag.set(waiting as f64),
            Ok(Err(error)) => {
                tracing::debug!(%error, name, "the length of the queue was not measured");
            }
            Err(_late) => tracing::debug!(name, "nobody said how long the queue is"),
        }
        tokio::time::sleep(MEASURE_EVERY).await;
    }
}

struct Claims<'a> {
    queue: &'a PgQueue,
    name: &'a str,
    worker: &'a Arc<Worker>,
    shutdown: &'a CancellationToken,
    status: Status,
    backoff: Backoff,
}

impl Claims<'_> {
    /// Claims and starts the work, until shutdown. It looks for the shutdown only between claims: a
    /// claim that is dropped on its way leaves messages that nobody works on until its lease ends.
    async fn run(&mut self, tasks: &mut JoinSet<()>) {
        self.declare().await;
        let bell = self.queue.wakes.of(self.name);
        let concurrency = self.worker.options.concurrency.max(1);
        while !self.shutdown.is_cancelled() {
            // Registered before the claim, so that a message which arrives after the claim ends the wait.
            let rung = bell.notified();
            let hands = concurrency.saturating_sub(tasks.len());
            let begun = Instant::now();
            let Some(claimed) = self.claim(hands).await else {
                continue;
            };
            let gather = (begun.elapsed() * 2).clamp(GATHER.0, GATHER.1);
            let found = claimed.len();
            for message in claimed {
                tasks.spawn(Arc::clone(self.worker).work(message).in_current_span());
            }
            if found < hands {
                let gather = if found > 0 { gather } else { Duration::ZERO };
                let new = until_new(gather, rung, self.worker.options.poll);
                self.shutdown.run_until_cancelled(new).await;
            }
            self.shutdown
                .run_until_cancelled(free_hands(tasks, concurrency, gather))
                .await;
        }
    }

    async fn declare(&mut self) {
        let dead = names::dead(self.name);
        loop {
            let declared = store::declare(&self.queue.pool, self.name, &dead);
            let tried = match tokio::time::timeout(CLAIM_TIMEOUT, declared).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => self.failed(&error.to_string()).await,
                Err(_late) => self.failed("no answer").await,
            };
            if tried.is_none() {
                return;
            }
        }
    }

    /// Claims up to `hands` messages. `None`, after a pause, if the database did not answer.
    async fn claim(&mut self, hands: usize) -> Option<Vec<Claimed>> {
        let claim = store::claim(
            &self.queue.pool,
            self.name,
            hands,
            self.worker.options.visibility,
        );
        match tokio::time::timeout(CLAIM_TIMEOUT, claim).await {
            Ok(Ok(claimed)) => {
                self.backoff.reset();
                self.status.up();
                return Some(claimed);
            }
            Ok(Err(error)) => self.failed(&error.to_string()).await,
            Err(_late) => self.failed("no answer").await,
        };
        None
    }

    /// Reports a failure and pauses; `None` if the shutdown came meanwhile.
    async fn failed(&mut self, reason: &str) -> Option<()> {
        self.status.down(format!("the queue's database: {reason}"));
        let delay = self.backoff.next();
        self.shutdown
            .run_until_cancelled(tokio::time::sleep(delay))
            .await
    }
}

/// Waits for a wake-up or the poll interval after a claim that emptied the queue; for `gather` in any case.
async fn until_new(gather: Duration, rung: impl Future<Output = ()>, poll: Duration) {
    let gathered = async {
        tokio::time::sleep(gather).await;
        rung.await;
    };
    // A time-out: there was no wake-up.
    let _ = tokio::time::timeout(poll, gathered).await;
}

/// Waits until fewer than `concurrency` messages are in progress. If all hands were busy there is a backlog: then it also
/// waits, for `gather` at most, until half of them are free, so that a claim gets several messages. No longer, since
/// handlers that hang must not keep the free hands from work.
async fn free_hands(tasks: &mut JoinSet<()>, concurrency: usize, gather: Duration) {
    while tasks.try_join_next().is_some() {}
    if tasks.len() < concurrency {
        return;
    }
    tasks.join_next().await;
    let half = async {
        while tasks.len() > concurrency / 2 {
            tasks.join_next().await;
        }
    };
    // A time-out: fewer are free, and that is enough.
    let _ = tokio::time::timeout(gather, half).await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const POLL: Duration = Duration::from_secs(1);

    async fn pause(gather: Duration, rung: impl Future<Output = ()>) -> Duration {
        let start = Instant::now();
        until_new(gather, rung, POLL).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_after_a_quiet_moment_is_claimed_at_once() {
        assert_eq!(pause(Duration::ZERO, ready(())).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_while_messages_are_claimed_is_gathered() {
        assert_eq!(pause(GATHER.0, ready(())).await, GATHER.0);
    }

    /// How long `free_hands` waits while one of `hands` ends after a millisecond, and each next one `step` later; and
    /// how many are free then.
    async fn freed(hands: usize, step: Duration) -> (Duration, usize) {
        let mut tasks = JoinSet::new();
        for hand in 0..u32::try_from(hands).unwrap() {
            tasks.spawn(tokio::time::sleep(Duration::from_millis(1) + step * hand));
        }
        let start = Instant::now();
        free_hands(&mut tasks, hands, GATHER.0).await;
        (start.elapsed(), hands - tasks.len())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_behind_waits_for_half_of_the_hands_and_not_for_long() {
        let (waited, free) = freed(8, Duration::from_micros(10)).await;
        assert!(free >= 4 && waited < GATHER.0, "{free} after {waited:?}");
        let (waited, free) = freed(8, Duration::from_secs(60)).await;
        assert_eq!(free, 1, "the others hang");
        assert!(waited <= GATHER.0 + Duration::from_millis(2), "{waited:?}");
        assert_eq!(freed(1, Duration::ZERO).await.1, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ring_it_looks_after_the_poll_s_time() {
        assert_eq!(pause(GATHER.0, pending()).await, POLL);
    }
}
