//! Deletion of rows that are no longer needed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::is_unavailable;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(600);
/// The SQLSTATE of a statement that took longer than [`STATEMENT_TIMEOUT`](super::STATEMENT_TIMEOUT).
const TOOK_TOO_LONG: &str = "57014";

/// Calls `purge` every ten minutes until `shutdown`. It deletes rows in statements that each take a part of them, and returns
/// how many they were; `what` names them in the log. Replicas may do so at the same time.
pub async fn purge_regularly<F>(
    what: &'static str,
    shutdown: &CancellationToken,
    purge: impl Fn() -> F,
) where
    F: Future<Output = sqlx::Result<u64>>,
{
    loop {
        let purged = tokio::select! {
            // A stop waits for no table, however large. What was deleted stays so.
            () = shutdown.cancelled() => return,
            purged = purge() => purged,
        };
        match purged {
            Ok(0) => {}
            Ok(rows) => tracing::info!(what, rows, "deleted expired rows"),
            // Rows that stay longer do no harm; the next round deletes them. Readiness reports the database.
            Err(error) if is_unavailable(&error) && !took_too_long(&error) => {}
            Err(error) => {
                tracing::warn!(what, %error, "expired rows not deleted; trying again in the next round");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Whether the database is there and did not get to the end. It may never do: then the table grows, and readiness says that all is
/// well.
fn took_too_long(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == TOOK_TOO_LONG)
}
