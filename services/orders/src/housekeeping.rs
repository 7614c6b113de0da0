//! Deletion of data that is no longer needed.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store;

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
    let keys = || store::purge_keys(&pool, keep.idempotency_keys);
    let events = || inbox::purge(&pool, keep.inbox);
    tokio::join!(
        db::purge_regularly("idempotency keys", &shutdown, keys),
        db::purge_regularly("handled events", &shutdown, events),
    );
}
