//! Deletion of data that is no longer needed.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store::deliveries;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(600);

/// The retention periods.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) inbox: Duration,
    pub(crate) deliveries: Duration,
}

/// Deletes older data periodically, until `shutdown`. Replicas may do so at the same time.
pub(crate) async fn purge(pool: PgPool, keep: Retention, shutdown: CancellationToken) {
    loop {
        report("handled events", inbox::purge(&pool, keep.inbox).await);
        report(
            "deliveries",
            deliveries::purge(&pool, keep.deliveries).await,
        );
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn report(what: &str, purged: Result<u64, sqlx::Error>) {
    match purged {
        Ok(0) => {}
        Ok(rows) => tracing::info!(what, rows, "forgot what was old"),
        // Rows that stay longer do no harm; the next round deletes them. Readiness reports the database.
        Err(error) if db::is_unavailable(&error) => {}
        Err(error) => tracing::warn!(what, %error, "what was old was not forgotten"),
    }
}
