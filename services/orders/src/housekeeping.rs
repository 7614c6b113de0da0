//! Forgetting what nobody will ask for any more.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store;

/// The time between two rounds.
const PAUSE: Duration = Duration::from_secs(600);

/// What to keep, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Answers under an `Idempotency-Key`.
    pub(crate) idempotency_keys: Duration,
    /// Ids of events that were taken in.
    pub(crate) inbox: Duration,
}

/// Deletes old rows every now and then, until `shutdown`. Replicas may do so at the same time.
pub(crate) async fn purge(pool: PgPool, keep: Retention, shutdown: CancellationToken) {
    loop {
        let done = tokio::try_join!(
            store::purge_keys(&pool, keep.idempotency_keys),
            inbox::purge(&pool, keep.inbox),
        );
        match done {
            Ok((keys, events)) if keys + events > 0 => {
                tracing::info!(keys, events, "forgot old rows")
            }
            Ok(_) => {}
            // Rows that stay a while longer harm nobody; the next round gets them. Readiness tells of the database.
            Err(error) if db::is_unavailable(&error) => {}
            Err(error) => tracing::warn!(%error, "old rows were not deleted"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
