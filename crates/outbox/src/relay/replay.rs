//! Sending again, at start, what a forgetful broker may have lost.
//!
//! Rows that were kept are pending again, under their old ids. So they come before anything new of
//! their keys, and everything that holds for pending rows (order, retries, shutdown) holds for them.
//!
//! *All* of them, whatever their age by the clock: the broker forgot when the last run ended, which may
//! be long ago. What is older than the window was taken away while that run lasted (housekeeping.rs).

use std::ops::ControlFlow;
use std::time::Duration;

use backoff::Backoff;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::bounded::{give_back, within};

/// Rows changed by one statement at most.
const ROWS: i64 = 10_000;
/// While the database is away: the first wait, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Makes everything pending again, however long the database keeps it waiting. Breaks if `shutdown` came first.
pub(super) async fn put_back(shared: &Shared, shutdown: &CancellationToken) -> ControlFlow<()> {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let mut total = 0;
    loop {
        let moved = tokio::select! {
            biased;
            () = shutdown.cancelled() => return ControlFlow::Break(()),
            moved = put_some_back(shared) => moved,
        };
        match moved {
            Ok(0) => break,
            Ok(rows) => total += rows,
            Err(error) => {
                tracing::debug!(%error, "the outbox cannot be read; trying again");
                tokio::select! {
                    () = shutdown.cancelled() => return ControlFlow::Break(()),
                    () = tokio::time::sleep(backoff.next()) => {}
                }
            }
        }
    }
    if total > 0 {
        tracing::info!(
            events = total,
            "publishing again the events that the broker may have lost"
        );
    }
    ControlFlow::Continue(())
}

async fn put_some_back(shared: &Shared) -> Result<u64, sqlx::Error> {
    // The second statement of each is for what a relay of version 1 of the tables has kept.
    let statements = if shared.options.replay_window.is_zero() {
        // The broker does not forget (any more): what was kept for one that did is of no use.
        [
            "DELETE FROM outbox WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM outbox WHERE sent_at IS NOT NULL LIMIT $1)) AND sent_at IS NOT NULL",
            "DELETE FROM outbox_sent WHERE id IN (SELECT id FROM outbox_sent ORDER BY id LIMIT $1)",
        ]
    } else {
        [
            "UPDATE outbox SET sent_at = NULL WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM outbox WHERE sent_at IS NOT NULL LIMIT $1)) AND sent_at IS NOT NULL",
            "WITH back AS (
                 DELETE FROM outbox_sent WHERE id IN (SELECT id FROM outbox_sent ORDER BY id LIMIT $1) RETURNING *)
             INSERT INTO outbox (id, lane, destination, key, headers, payload, created_at) OVERRIDING SYSTEM VALUE
             SELECT id, lane, destination, key, headers, payload, created_at FROM back",
        ]
    };
    let mut moved = 0;
    for statement in statements {
        let mut connection = shared.pool.acquire().await?;
        let done = sqlx::query(statement).bind(ROWS).execute(&mut *connection);
        let done = within(shared.options.answer_timeout, done).await;
        moved += give_back(connection, done)?.rows_affected();
    }
    Ok(moved)
}
