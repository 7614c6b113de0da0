//! What happens to one claimed message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::Counter;
use rand::Rng;
use resilience::backoff::Backoff;
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::store::{self, Claimed};
use super::together::Together;
use super::{ConsumeOptions, names};
use crate::attempt::{Outcome, attempt};
use crate::dead_letter::{self, Origin};
use crate::{Delivery, Handler, MAX_PANICS};

/// The longest pause between two tries to write a verdict down.
const SETTLE_CAP: Duration = Duration::from_secs(1);
/// How long giving messages back may take at the end.
const RELEASE_DEADLINE: Duration = Duration::from_millis(500);

/// What all messages of a consumer have in common.
pub(super) struct Worker {
    pool: PgPool,
    queue: String,
    pub(super) options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    // Messages in hand, to be given back if the consumer must stop before they are done.
    held: Mutex<HashMap<i64, Uuid>>,
    acknowledged: Together<(i64, Uuid), sqlx::Result<bool>>,
    counters: Counters,
}

/// What to do with a message after a try.
enum Verdict {
    Acknowledge,
    Retry {
        reason: String,
        delay: Duration,
    },
    Park {
        reason: String,
    },
    /// Another consumer may have it: hands off.
    LeaseLost,
}

impl Worker {
    pub(super) fn new(
        pool: PgPool,
        queue: &str,
        options: ConsumeOptions,
        handler: Arc<dyn Handler>,
    ) -> Self {
        Self {
            pool,
            queue: queue.to_owned(),
            options,
            handler,
            held: Mutex::default(),
            acknowledged: Together::default(),
            counters: Counters::new(queue),
        }
    }

    /// Handles the message and settles what becomes of it.
    pub(super) async fn work(self: Arc<Self>, claimed: Claimed) {
        self.held().insert(claimed.id, claimed.lease);
        let verdict = self.try_once(&claimed).await;
        self.settle(&claimed, verdict).await;
        self.held().remove(&claimed.id);
    }

    /// Gives back what was cut off.
    pub(super) async fn give_back(&self) {
        let held: Vec<_> = self.held().drain().collect();
        tracing::warn!(
            queue = self.queue,
            count = held.len(),
            "messages in hand are given back"
        );
        let release = store::release(&self.pool, &held);
        if !matches!(
            tokio::time::timeout(RELEASE_DEADLINE, release).await,
            Ok(Ok(()))
        ) {
            tracing::warn!(
                queue = self.queue,
                "they come again when their leases run out"
            );
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Uuid>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn try_once(&self, claimed: &Claimed) -> Verdict {
        // Only a consumer that died, or was cut off, leaves a try without a verdict. A message that
        // takes its consumer down with it must not do so for ever.
        if claimed.attempts > self.options.max_attempts.max(1) && !names::is_dead(&self.queue) {
            let reason = format!("{} tries ended without an answer", claimed.attempts - 1);
            return Verdict::Park { reason };
        }
        let delivery = Delivery {
            message: claimed.message.clone(),
            source: self.queue.clone(),
            attempt: claimed.attempts,
            position: None,
        };
        tokio::select! {
            outcome = attempt(self.handler.as_ref(), &delivery) => self.judge(outcome, claimed.attempts),
            () = self.keep_lease(claimed) => Verdict::LeaseLost,
        }
    }

    fn judge(&self, outcome: Outcome, attempts: u32) -> Verdict {
        let (reason, limit) = match outcome {
            Outcome::Done => return Verdict::Acknowledge,
            Outcome::Permanent(reason) => return Verdict::Park { reason },
            Outcome::Transient(reason) => (reason, self.options.max_attempts),
            Outcome::Panicked(reason) => (reason, self.options.max_attempts.min(MAX_PANICS)),
        };
        if attempts >= limit {
            return Verdict::Park { reason };
        }
        Verdict::Retry {
            reason,
            delay: delay(&self.options, attempts),
        }
    }

    /// Extends the lease for as long as the handler runs; ends when the lease is lost.
    async fn keep_lease(&self, claimed: &Claimed) {
        loop {
            // Two extensions may fail before the lease runs out.
            tokio::time::sleep(self.options.visibility / 3).await;
            match store::extend(&self.pool, claimed, self.options.visibility).await {
                Ok(true) => {}
                Ok(false) => return,
                // A database that is away gives the message to nobody else either.
                Err(error) => {
                    tracing::debug!(%error, queue = self.queue, "a lease was not extended")
                }
            }
        }
    }

    /// Writes the verdict down, as long as the message can still be ours.
    async fn settle(&self, claimed: &Claimed, verdict: Verdict) {
        let deadline = Instant::now() + self.options.visibility;
        let mut backoff = Backoff::new(Duration::from_millis(20), SETTLE_CAP);
        loop {
            match self.write(claimed, &verdict).await {
                Ok(true) => return self.count(claimed, &verdict),
                Ok(false) => {
                    self.counters.lost.increment(1);
                    tracing::warn!(
                        queue = self.queue,
                        id = claimed.id,
                        "a lease was lost: the message is done again"
                    );
                    return;
                }
                Err(error) if Instant::now() >= deadline => {
                    tracing::error!(%error, queue = self.queue, id = claimed.id, "a message was not settled: it is done again");
                    return;
                }
                Err(_) => tokio::time::sleep(backoff.next()).await,
            }
        }
    }

    async fn write(&self, claimed: &Claimed, verdict: &Verdict) -> sqlx::Result<bool> {
        match verdict {
            Verdict::LeaseLost => Ok(false),
            Verdict::Acknowledge => self.acknowledge(claimed).await,
            Verdict::Retry { delay, .. } => store::retry(&self.pool, claimed, *delay).await,
            Verdict::Park { reason } => {
                let origin = Origin::Queue(&self.queue);
                let parked =
                    dead_letter::parked(&claimed.message, origin, reason, claimed.attempts);
                // A dead-letter queue that is consumed parks in itself: not at once again.
                let delay = if names::is_dead(&self.queue) {
                    self.options.backoff_cap
                } else {
                    Duration::ZERO
                };
                store::park(
                    &self.pool,
                    claimed,
                    &names::dead(&self.queue),
                    &parked,
                    delay,
                )
                .await
            }
        }
    }

    async fn acknowledge(&self, claimed: &Claimed) -> sqlx::Result<bool> {
        let item = (claimed.id, claimed.lease);
        self.acknowledged
            .call(item, |done| self.acknowledge_group(done))
            .await
            .unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    async fn acknowledge_group(&self, done: Vec<(i64, Uuid)>) -> Vec<sqlx::Result<bool>> {
        let gone = store::acknowledge(&self.pool, &done).await;
        let answer = |(id, _)| match &gone {
            Ok(gone) => Ok(gone.contains(&id)),
            Err(error) => Err(sqlx::Error::Protocol(error.to_string())),
        };
        done.into_iter().map(answer).collect()
    }

    fn count(&self, claimed: &Claimed, verdict: &Verdict) {
        let (queue, id, attempt) = (&self.queue, claimed.id, claimed.attempts);
        match verdict {
            Verdict::Acknowledge => self.counters.done.increment(1),
            Verdict::Retry { reason, delay } => {
                self.counters.retried.increment(1);
                let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(
                    queue,
                    id,
                    attempt,
                    delay_ms,
                    reason,
                    "a message failed and comes again"
                );
            }
            Verdict::Park { reason } => {
                self.counters.parked.increment(1);
                tracing::error!(queue, id, attempt, reason, "a message is parked");
            }
            Verdict::LeaseLost => {}
        }
    }
}

/// The delay after the n-th try: it doubles up to the cap; half of it is random, so that messages
/// which failed together do not come back together.
fn delay(options: &ConsumeOptions, attempts: u32) -> Duration {
    let factor = 1_u32
        .checked_shl(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let ceiling = options
        .backoff
        .saturating_mul(factor)
        .min(options.backoff_cap);
    rand::rng().random_range(ceiling / 2..=ceiling)
}

/// Looked up once.
struct Counters {
    done: Counter,
    retried: Counter,
    parked: Counter,
    lost: Counter,
}

impl Counters {
    fn new(queue: &str) -> Self {
        let counter = |outcome: &'static str| metrics::counter!("messaging_handled_total", "source" => queue.to_owned(), "outcome" => outcome);
        Self {
            done: counter("done"),
            retried: counter("retried"),
            parked: counter("parked"),
            lost: counter("lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let options = ConsumeOptions {
            backoff: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(10),
            ..ConsumeOptions::default()
        };
        for (attempts, ceiling) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (4, 8),
            (5, 10),
            (40, 10),
            (u32::MAX, 10),
        ] {
            let ceiling = Duration::from_secs(ceiling);
            let delay = delay(&options, attempts);
            assert!(
                delay >= ceiling / 2 && delay <= ceiling,
                "{attempts}: {delay:?}"
            );
        }
    }
}
