//! What has to be in the database besides the migrations, before the service can work.

use std::time::Duration;

use chassis::{Shutdown, db};
use sqlx::PgPool;

use crate::store;

/// The time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes the tables of outbox and inbox, and puts the demonstration's goods on the shelf if `seed`.
///
/// Tries again while the database is away. Replicas that are at work are not in the way: the tables are
/// made only where they are missing, and goods that are on the shelf stay as they are.
///
/// # Errors
/// What waiting cannot repair.
pub(crate) async fn prepare(
    pool: &PgPool,
    seed: bool,
    shutdown: &Shutdown,
) -> Result<(), sqlx::Error> {
    while !shutdown.is_triggered() {
        match attempt(pool, seed).await {
            Err(error) if db::is_unavailable(&error) => {
                tracing::warn!(%error, "the database cannot be prepared yet")
            }
            done => return done,
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}

async fn attempt(pool: &PgPool, seed: bool) -> Result<(), sqlx::Error> {
    outbox::install(pool).await?;
    if seed {
        store::seed(pool).await
    } else {
        Ok(())
    }
}
