//! What a relay does beside sending: it measures how much waits, and deletes what was kept for long enough.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::bounded::{give_back, within};
use crate::inbox::interval;
use crate::lane::LANES;

/// Time between rounds at most.
const EVERY: Duration = Duration::from_secs(5);
/// Time between rounds at least.
const EVERY_MIN: Duration = Duration::from_millis(50);
/// Rows counted at most: a larger number would not change an alarm, only the cost.
const COUNTED_ROWS: i64 = 10_000;
/// Rows that one statement deletes at most.
const FORGOTTEN_ROWS: i64 = 10_000;

/// Measures and forgets until `shutdown`.
pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let window = shared.options.replay_window;
    let every = if window.is_zero() {
        EVERY
    } else {
        (window / 2).clamp(EVERY_MIN, EVERY)
    };
    loop {
        let round = async {
            // The workers report an absent database, and they try more often.
            if let Err(error) = measure(&shared).await {
                tracing::debug!(%error, "size and lag of the outbox were not measured");
            }
            if !window.is_zero()
                && let Err(error) = forget(&shared, window).await
            {
                tracing::debug!(%error, "old rows of the outbox were not deleted");
            }
            tokio::time::sleep(every).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = round => {}
        }
    }
}

async fn measure(shared: &Shared) -> Result<(), sqlx::Error> {
    let (pending, lag_seconds) = pending(&shared.pool, shared.options.answer_timeout).await?;
    // Several services can share a process and its metrics: the database tells their outboxes apart.
    let options = shared.pool.connect_options();
    let database = options.get_database().unwrap_or_default().to_owned();
    metrics::gauge!("outbox_pending", "database" => database.clone()).set(pending as f64);
    metrics::gauge!("outbox_lag_seconds", "database" => database).set(lag_seconds);
    Ok(())
}

/// How many rows wait, and for how many seconds the oldest of them does. Lane by lane, since the index has the order of ids within
/// each: of all at once PostgreSQL may look up every row that waits before it counts the first.
async fn pending(pool: &PgPool, limit: Duration) -> Result<(i64, f64), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let pending = sqlx::query_as(
        "WITH asked AS (SELECT generate_series(0, $2 - 1) AS lane)
         SELECT (SELECT count(*) FROM (
                     SELECT FROM asked CROSS JOIN LATERAL (
                         SELECT FROM outbox WHERE outbox.lane = asked.lane AND outbox.sent_at IS NULL
                          ORDER BY outbox.lane, outbox.id LIMIT $1) AS of_lane
                      LIMIT $1) AS counted),
                (SELECT coalesce(extract(epoch FROM now() - min(oldest.created_at)), 0)::float8
                   FROM asked CROSS JOIN LATERAL (
                       SELECT outbox.created_at FROM outbox WHERE outbox.lane = asked.lane AND outbox.sent_at IS NULL
                        ORDER BY outbox.lane, outbox.id LIMIT 1) AS oldest)",
    )
    .bind(COUNTED_ROWS)
    .bind(i32::from(LANES))
    // A plan for a small table must not outlive it.
    .persistent(false)
    .fetch_one(&mut *connection);
    let pending = within(limit, pending).await;
    give_back(connection, pending)
}

/// Every marked row was sent, or sent again, in this run: so `window` counts from a time when the broker
/// had it, not from before it forgot.
async fn forget(shared: &Shared, window: Duration) -> Result<(), sqlx::Error> {
    loop {
        let mut connection = shared.pool.acquire().await?;
        let done = sqlx::query(
            // Asked twice: another relay that starts meanwhile makes rows pending again, and those must stay.
            "DELETE FROM outbox WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM outbox WHERE sent_at < now() - $1 LIMIT $2)) AND sent_at < now() - $1",
        )
        .bind(interval(window))
        .bind(FORGOTTEN_ROWS)
        .persistent(false)
        .execute(&mut *connection);
        let done = within(shared.options.answer_timeout, done).await;
        let done = give_back(connection, done)?;
        if done.rows_affected() < FORGOTTEN_ROWS.unsigned_abs() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_and_is_kept_does_not_wait() {
        let database = embedded::testing::fresh_database();
        let pool = PgPool::connect(&database.url).await.expect("a database");
        crate::install(&pool).await.expect("tables");
        let rows = sqlx::raw_sql(
            "INSERT INTO outbox (lane, destination, key, headers, payload, created_at, sent_at)
             VALUES (0, 'topic:counts', 'a', '[]', '', now() - interval '2 hours', now()),
                    (0, 'topic:counts', 'a', '[]', '', now() - interval '1 hour', NULL)",
        );
        rows.execute(&pool).await.expect("rows");
        let (pending, lag_seconds) = pending(&pool, EVERY).await.expect("a count");
        assert_eq!(pending, 1);
        assert!((3600.0..7200.0).contains(&lag_seconds), "{lag_seconds}");
    }

    #[tokio::test]
    async fn the_lag_is_that_of_the_oldest_row_of_any_lane() {
        let database = embedded::testing::fresh_database();
        let pool = PgPool::connect(&database.url).await.expect("a database");
        crate::install(&pool).await.expect("tables");
        let rows = sqlx::raw_sql(
            "INSERT INTO outbox (lane, destination, key, headers, payload, created_at)
             VALUES (0, 'topic:counts', 'a', '[]', '', now() - interval '1 minute'),
                    (15, 'topic:counts', 'b', '[]', '', now() - interval '1 hour'),
                    (15, 'topic:counts', 'b', '[]', '', now())",
        );
        rows.execute(&pool).await.expect("rows");
        let (pending, lag_seconds) = pending(&pool, EVERY).await.expect("a count");
        assert_eq!(pending, 3);
        assert!((3600.0..7200.0).contains(&lag_seconds), "{lag_seconds}");
    }
}
