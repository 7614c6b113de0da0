//! Deletion of data that is no longer needed.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Periodically deletes inbox rows of events that were handled longer than `retention` ago, until `shutdown`. Replicas
/// may do so at the same time. Reservations are kept, since repeated events about their orders are answered from them.
pub(crate) async fn purge(pool: PgPool, retention: Duration, shutdown: CancellationToken) {
    let events = || inbox::purge(&pool, retention);
    db::purge_regularly("handled events", &shutdown, events).await;
}
