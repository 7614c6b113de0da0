//! Forgetting what nobody will ask for any more.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// The time between two rounds.
const PAUSE: Duration = Duration::from_secs(600);

/// Forgets events that were handled longer than `retention` ago, every now and then, until `shutdown`.
/// Replicas may do so at the same time. Reservations are kept: they answer for their orders.
pub(crate) async fn purge(pool: PgPool, retention: Duration, shutdown: CancellationToken) {
    loop {
        match inbox::purge(&pool, retention).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "forgot handled events"),
            // Rows that stay a while longer harm nobody; the next round gets them. Readiness tells of the database.
            Err(error) if db::is_unavailable(&error) => {}
            Err(error) => tracing::warn!(%error, "handled events were not forgotten"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
