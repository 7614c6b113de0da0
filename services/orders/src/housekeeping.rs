//! Deletion of data that is no longer needed.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(600);

/// The retention periods.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Of answers that are stored under an `Idempotency-Key`.
    pub(crate) idempotency_keys: Duration,
    /// Of the ids of handled events.
    pub(crate) inbox: Duration,
}

/// Deletes older data periodically, until `shutdown`. Replicas may do so at the same time.
pub(crate) async fn purge(pool: PgPool, keep: Retention, shutdown: CancellationToken) {
    loop {
        let done = tokio::try_join!(
            store::purge_keys(&pool, keep.idempotency_keys),
            inbox::purge(&pool, keep.inbox),
        );
        match done {
            Ok((keys, events)) if keys + events > 0 => {
                tracing::info!(keys, events, "deleted expired rows")
            }
            Ok(_) => {}
            // Rows that stay longer do no harm; the next round deletes them. Readiness reports the database.
            Err(error) if db::is_unavailable(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "expired rows not deleted; trying again in the next round")
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
