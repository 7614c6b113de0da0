//! What has to be in the database besides the migrations, before the service can work.

use std::time::Duration;

use chassis::{Shutdown, db};
use sqlx::PgPool;

use crate::store;

/// The time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes the tables of outbox and inbox, and puts the demonstration's goods on the shelf if `seed`.
///
/// Tries again while the database is away, and when it had to choose between this and the work of
/// another replica that is running (`CREATE INDEX` waits for writers, and they for it).
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
            Err(error) if passes(&error) => {
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

/// Whether the database is away, or rolled back for the sake of somebody else (SQLSTATE class 40).
fn passes(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    db::is_unavailable(error) || code.is_some_and(|code| code.starts_with("40"))
}
