//! Deletion of data that is no longer needed.

use std::time::Duration;

use chassis::db;
use outbox::inbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store::deliveries;

/// The retention periods.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) inbox: Duration,
    pub(crate) deliveries: Duration,
}

/// Deletes older data periodically, until `shutdown`. Replicas may do so at the same time.
pub(crate) async fn purge(pool: PgPool, keep: Retention, shutdown: CancellationToken) {
    let events = || inbox::purge(&pool, keep.inbox);
    let deliveries = || deliveries::purge(&pool, keep.deliveries);
    tokio::join!(
        db::purge_regularly("handled events", &shutdown, events),
        db::purge_regularly("deliveries", &shutdown, deliveries),
    );
}
