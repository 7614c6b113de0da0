//! Deletion of data that is no longer needed.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(600);

/// Periodically deletes inbox rows of events that were handled longer than `retention` ago, until `shutdown`. Replicas
/// may do so at the same time. Reservations are kept, since repeated events about their orders are answered from them.
pub(crate) async fn purge(pool: PgPool, retention: Duration, shutdown: CancellationToken) {
    loop {
        match inbox::purge(&pool, retention).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "forgot handled events"),
            // Rows that stay longer do no harm; the next round deletes them. Readiness reports the database.
            Err(error) if db::is_unavailable(&error) => {}
            Err(error) => tracing::warn!(%error, "handled events were not forgotten"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
