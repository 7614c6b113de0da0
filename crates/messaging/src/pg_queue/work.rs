//! What happens to one claimed message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backoff::Backoff;
use parking_lot::{Mutex, MutexGuard};
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use uuid::Uuid;

use super::answer::no_answer;
use super::store::{self, Claimed};
use super::{ConsumeOptions, SYSTEM};
use crate::attempt::attempt;
use crate::dead_letter::{self, Origin};
use crate::observe::{Consumed, Place, Settled};
use crate::verdict::{self, Verdict};
use crate::{Delivery, Handler, Together, names};

/// The longest pause between two tries to store a verdict.
const SETTLE_CAP: Duration = Duration::from_secs(1);
/// How long releasing messages may take at shutdown.
const RELEASE_DEADLINE: Duration = Duration::from_millis(500);

/// What all messages of a consumer have in common.
pub(super) struct Worker {
    pool: PgPool,
    queue: String,
    pub(super) options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    // Messages in progress, to be released if the consumer must stop before they are done.
    held: Mutex<HashMap<i64, Uuid>>,
    acknowledged: Together<(i64, Uuid), sqlx::Result<bool>>,
    consumed: Consumed,
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
            consumed: Consumed::new(Place {
                system: SYSTEM,
                destination: queue,
                group: None,
            }),
        }
    }

    /// Handles the message and settles what becomes of it.
    pub(super) async fn work(self: Arc<Self>, claimed: Claimed) {
        self.held().insert(claimed.id, claimed.lease);
        let verdict = self.try_once(&claimed).await;
        self.settle(&claimed, verdict).await;
        self.held().remove(&claimed.id);
    }

    /// Releases the messages whose handlers were cancelled.
    pub(super) async fn give_back(&self) {
        let held: Vec<_> = self.held().drain().collect();
        if held.is_empty() {
            // Only the database kept the consumer from stopping in time.
            return;
        }
        tracing::warn!(
            queue = self.queue,
            count = held.len(),
            "messages that did not finish in time are cancelled and released"
        );
        let release = store::release(&self.pool, &held);
        if !matches!(timeout(RELEASE_DEADLINE, release).await, Ok(Ok(()))) {
            tracing::warn!(
                queue = self.queue,
                "messages were not released; they are delivered again when their leases expire"
            );
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<i64, Uuid>> {
        self.held.lock()
    }

    /// `None` if the lease was lost: another consumer may have claimed the message.
    async fn try_once(&self, claimed: &Claimed) -> Option<Verdict> {
        // An attempt has no verdict only if its consumer died or was cancelled. A message that kills its consumers
        // must not do so for ever.
        if claimed.attempts > self.options.max_attempts.max(1) && !names::is_dead(&self.queue) {
            let reason = format!(
                "{} attempts ended without a result: their consumers died or were cancelled",
                claimed.attempts - 1
            );
            return Some(Verdict::Park { reason });
        }
        let message = claimed.message.clone();
        let delivery = Delivery::new(message, self.queue.clone(), claimed.attempts)
            .with_sent_at(SystemTime::now().checked_sub(claimed.age))
            .with_system(SYSTEM);
        tokio::select! {
            outcome = attempt(self.handler.as_ref(), &delivery, &self.consumed) => Some(verdict::judge(outcome, claimed.attempts, &self.options)),
            () = self.keep_lease(claimed) => None,
        }
    }

    /// Extends the lease for as long as the handler runs; ends when the lease is lost.
    async fn keep_lease(&self, claimed: &Claimed) {
        let lease = self.options.visibility;
        let extend = || store::extend(&self.pool, claimed, lease);
        extend_regularly(claimed.asked_at, lease, &self.queue, extend).await;
    }

    /// Stores the verdict; tries for as long as the lease can still be ours, and waits no longer for an answer: one that never
    /// comes (the database's host is gone without a word) would keep one of the consumer's hands for ever.
    async fn settle(&self, claimed: &Claimed, verdict: Option<Verdict>) {
        let deadline = Instant::now() + self.options.visibility;
        let mut backoff = Backoff::new(Duration::from_millis(20), SETTLE_CAP);
        loop {
            let written = timeout_at(deadline, self.write(claimed, verdict.as_ref())).await;
            match written.unwrap_or_else(no_answer) {
                Ok(true) => {
                    if let Some(verdict) = &verdict {
                        verdict::note(&self.consumed, &self.queue, claimed.attempts, verdict);
                    }
                    return;
                }
                Ok(false) => {
                    self.consumed.settled(Settled::Lost, claimed.attempts, 1);
                    // No warning: as a rule the database was away, which the consumer reports, once for all messages.
                    tracing::info!(
                        queue = self.queue,
                        id = claimed.id,
                        "the lease of a message was lost; another consumer handles it again"
                    );
                    return;
                }
                Err(error) if Instant::now() >= deadline => {
                    tracing::info!(%error, queue = self.queue, id = claimed.id, "the result of a message was not stored before its lease expired; it is delivered again");
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
                // A dead-letter queue that is consumed parks in itself; the delay keeps the message from coming back
                // at once.
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

/// Calls `extend` in each third of the lease, which began at `since` or later, until it says that the lease is lost. A try that
/// has no answer yet is given up when the next one is due, which may get another connection: what is lost with one connection
/// does not cost the lease.
async fn extend_regularly<F>(
    since: Instant,
    lease: Duration,
    queue: &str,
    mut extend: impl FnMut() -> F,
) where
    F: Future<Output = sqlx::Result<bool>>,
{
    let third = lease / 3;
    let mut next = since + third;
    loop {
        sleep_until(next).await;
        next = Instant::now() + third;
        let extended = timeout_at(next, extend()).await;
        match extended.unwrap_or_else(no_answer) {
            Ok(true) => {}
            Ok(false) => return,
            // While the database is away, no other consumer can claim the message either.
            Err(error) => {
                tracing::debug!(%error, queue, "the lease of a message was not extended; trying again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::HandlerError;
    use crate::logged::Logged;

    const LEASE: Duration = Duration::from_secs(15);

    /// Gets nothing.
    struct Idle;

    #[async_trait]
    impl Handler for Idle {
        async fn handle(&self, _: &Delivery) -> Result<(), HandlerError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn who_has_nothing_in_hand_gives_nothing_back() {
        let log = Logged::begin();
        let nowhere = PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/nothing").unwrap();
        let options = ConsumeOptions::default();
        let worker = Worker::new(nowhere, "jobs", options, Arc::new(Idle));
        worker.give_back().await;
        assert_eq!(log.of("WARN"), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_lost_does_not_cost_the_lease() {
        let (begun, mut tries) = (Instant::now(), 0);
        let extend = || {
            tries += 1;
            let is_first = tries == 1;
            async move {
                if is_first {
                    std::future::pending::<()>().await;
                }
                // The end of the test.
                Ok(false)
            }
        };
        extend_regularly(begun, LEASE, "jobs", extend).await;
        assert_eq!(tries, 2);
        assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_was_answered_late_is_extended_at_once() {
        let asked_at = Instant::now();
        tokio::time::advance(LEASE / 2).await;
        let answered_at = Instant::now();
        let lost = || std::future::ready(Ok(false));
        extend_regularly(asked_at, LEASE, "jobs", lost).await;
        assert!(answered_at.elapsed() < LEASE / 6);
    }
}
