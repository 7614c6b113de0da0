//! What happens to one claimed message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use resilience::backoff::Backoff;
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::ConsumeOptions;
use super::store::{self, Claimed};
use super::together::Together;
use crate::attempt::attempt;
use crate::dead_letter::{self, Origin};
use crate::verdict::{self, Counters, Verdict};
use crate::{Delivery, Handler, names};

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

    /// Nothing when the lease was lost: another consumer may have the message, hands off.
    async fn try_once(&self, claimed: &Claimed) -> Option<Verdict> {
        // Only a consumer that died, or was cut off, leaves a try without a verdict. A message that
        // takes its consumer down with it must not do so for ever.
        if claimed.attempts > self.options.max_attempts.max(1) && !names::is_dead(&self.queue) {
            let reason = format!("{} tries ended without an answer", claimed.attempts - 1);
            return Some(Verdict::Park { reason });
        }
        let delivery = Delivery {
            message: claimed.message.clone(),
            source: self.queue.clone(),
            attempt: claimed.attempts,
            position: None,
        };
        tokio::select! {
            outcome = attempt(self.handler.as_ref(), &delivery) => Some(verdict::judge(outcome, claimed.attempts, &self.options)),
            () = self.keep_lease(claimed) => None,
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
    async fn settle(&self, claimed: &Claimed, verdict: Option<Verdict>) {
        let deadline = Instant::now() + self.options.visibility;
        let mut backoff = Backoff::new(Duration::from_millis(20), SETTLE_CAP);
        loop {
            match self.write(claimed, verdict.as_ref()).await {
                Ok(true) => {
                    if let Some(verdict) = &verdict {
                        self.counters.count(&self.queue, claimed.attempts, verdict);
                    }
                    return;
                }
                Ok(false) => {
                    self.counters.lost();
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

    async fn write(&self, claimed: &Claimed, verdict: Option<&Verdict>) -> sqlx::Result<bool> {
        match verdict {
            None => Ok(false),
            Some(Verdict::Acknowledge) => self.acknowledge(claimed).await,
            Some(Verdict::Retry { delay, .. }) => store::retry(&self.pool, claimed, *delay).await,
            Some(Verdict::Park { reason }) => {
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
}
