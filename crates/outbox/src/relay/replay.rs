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
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::bounded::{give_back, within};

/// Rows changed by one statement at most.
const ROWS: i64 = 10_000;
/// While the database is away: the first wait, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The place before the first row.
const START: &str = "(0,0)";

/// What is done with the rows that were kept behind a place, and with those that a relay of version 1 of the tables has kept.
type Statements = [&'static str; 2];

const MAKE_PENDING: Statements = [
    "WITH kept AS MATERIALIZED (
         SELECT ctid AS place FROM outbox WHERE ctid > $2::text::tid AND sent_at IS NOT NULL LIMIT $1
     ), back AS (
         UPDATE outbox SET sent_at = NULL WHERE ctid = ANY (ARRAY(SELECT place FROM kept)) AND sent_at IS NOT NULL)
     SELECT count(*), max(place)::text FROM kept",
    "WITH back AS (
         DELETE FROM outbox_sent WHERE id IN (SELECT id FROM outbox_sent ORDER BY id LIMIT $1) RETURNING *)
     INSERT INTO outbox (id, lane, destination, key, headers, payload, created_at) OVERRIDING SYSTEM VALUE
     SELECT id, lane, destination, key, headers, payload, created_at FROM back",
];

/// The broker does not forget (any more): what was kept for one that did is of no use.
const DELETE: Statements = [
    "WITH kept AS MATERIALIZED (
         SELECT ctid AS place FROM outbox WHERE ctid > $2::text::tid AND sent_at IS NOT NULL LIMIT $1
     ), gone AS (
         DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT place FROM kept)) AND sent_at IS NOT NULL)
     SELECT count(*), max(place)::text FROM kept",
    "DELETE FROM outbox_sent WHERE id IN (SELECT id FROM outbox_sent ORDER BY id LIMIT $1)",
];

/// Makes everything pending again, however long the database keeps it waiting. Breaks if `shutdown` came first.
pub(super) async fn put_back(shared: &Shared, shutdown: &CancellationToken) -> ControlFlow<()> {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let (mut total, mut behind) = (0, START.to_owned());
    loop {
        let moved = tokio::select! {
            biased;
            () = shutdown.cancelled() => return ControlFlow::Break(()),
            moved = put_some_back(shared, &behind) => moved,
        };
        match moved {
            Ok((0, _)) if behind == START => break,
            Ok((rows, last)) => {
                total += rows;
                // With none behind it, once more from the start: nobody promises in which order rows are found.
                behind = last.unwrap_or_else(|| START.to_owned());
            }
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

/// Returns the number of rows, and the last place of them in the outbox, if any was there.
async fn put_some_back(
    shared: &Shared,
    behind: &str,
) -> Result<(u64, Option<String>), sqlx::Error> {
    let [kept, kept_by_version_1] = if shared.options.replay_window.is_zero() {
        DELETE
    } else {
        MAKE_PENDING
    };
    let limit = shared.options.answer_timeout;
    let mut connection = shared.pool.acquire().await?;
    let done = change(&mut connection, kept, behind, ROWS);
    let done = within(limit, done).await;
    let (rows, last) = give_back(connection, done)?;

    let mut connection = shared.pool.acquire().await?;
    let done = sqlx::query(kept_by_version_1)
        .bind(ROWS)
        .execute(&mut *connection);
    let done = within(limit, done).await;
    let more = give_back(connection, done)?.rows_affected();
    Ok((rows + more, last))
}

/// Changes some rows that were kept, behind a place: from the start, each statement would read all that those before it have changed.
async fn change(
    connection: &mut PgConnection,
    statement: &'static str,
    behind: &str,
    rows: i64,
) -> Result<(u64, Option<String>), sqlx::Error> {
    let (changed, last): (i64, Option<String>) = sqlx::query_as(statement)
        .bind(rows)
        .bind(behind)
        // Not kept: how much there is behind a place is another thing each time.
        .persistent(false)
        .fetch_one(connection)
        .await?;
    Ok((changed.unsigned_abs(), last))
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;

    #[tokio::test]
    async fn what_was_put_back_is_not_read_again() {
        const KEPT: u64 = 2_000;
        let database = embedded::testing::fresh_database();
        let pool = PgPool::connect(&database.url).await.expect("a database");
        crate::install(&pool).await.expect("tables");
        // What a transaction has read is known within it.
        let mut tx = pool.begin().await.expect("a transaction");
        let rows = sqlx::query(
            "INSERT INTO outbox (lane, destination, key, headers, payload, sent_at)
             SELECT 0, 'topic:counts', 'a', '[]', '', now() FROM generate_series(1, $1::bigint)",
        );
        let rows = rows.bind(KEPT.cast_signed()).execute(&mut *tx).await;
        rows.expect("rows");
        let (mut put_back, mut behind) = (0, START.to_owned());
        loop {
            let [kept, _] = MAKE_PENDING;
            let (rows, last) = change(&mut tx, kept, &behind, 100).await.expect("rows");
            let Some(last) = last else { break };
            (put_back, behind) = (put_back + rows, last);
        }
        assert_eq!(put_back, KEPT);
        let read: i64 = sqlx::query_scalar(
            "SELECT (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
             FROM pg_stat_xact_user_tables WHERE relname = 'outbox'",
        )
        .fetch_one(&mut *tx)
        .await
        .expect("a count");
        // Each once, and once more where it is pending in a place behind.
        let (once, twice) = (KEPT.cast_signed(), 2 * KEPT.cast_signed());
        assert!((once..=twice).contains(&read), "{read} rows were read");
    }
}
