//! The inbox: an event that is delivered twice takes effect once (idempotent consumer).
//!
//! The row is written in the transaction of the effect itself. So either both are there or neither,
//! and a redelivery finds the row. If ids are stored anywhere else (a cache, another database), a crash between the effect and
//! the storing of its id repeats or loses the effect.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::bounded::{ANSWER_TIMEOUT, give_back, within};

/// Rows that one statement of [`purge`] deletes at most: short transactions, short locks.
const PURGE_ROWS: i64 = 10_000;

/// Whether this consumer sees an event for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a duplicate must not take effect again"]
pub enum Receipt {
    /// Never seen: apply the effect, in the same transaction.
    First,
    /// Seen, and its effect committed: there is nothing to do but acknowledge.
    Duplicate,
}

/// Notes that `consumer` takes the effect of `event_id` in the transaction `tx`.
///
/// If another transaction is about to take the same event, this waits until that one has ended:
/// then returns [`Receipt::Duplicate`] if it committed, [`Receipt::First`] if it rolled back.
///
/// # Errors
/// The database's; the caller rolls back and the event is delivered again.
pub async fn accept(
    tx: &mut PgConnection,
    consumer: &str,
    event_id: Uuid,
) -> Result<Receipt, sqlx::Error> {
    let first = accept_all(tx, consumer, &[event_id]).await?;
    Ok(match first.is_empty() {
        false => Receipt::First,
        true => Receipt::Duplicate,
    })
}

/// Notes that `consumer` takes the effects of all of these events in the transaction `tx`; returns
/// those that it sees for the first time. For a consumer that handles many messages in one transaction.
///
/// An id that is in `event_ids` twice is in the result once: *take it out* when its effect is applied, so that
/// the second time finds nothing.
///
/// # Errors
/// As for [`accept`].
pub async fn accept_all(
    tx: &mut PgConnection,
    consumer: &str,
    event_ids: &[Uuid],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    // In one order, so that two transactions with the same events cannot deadlock.
    let first = sqlx::query_scalar(
        "INSERT INTO inbox (consumer, event_id)
         SELECT $1, event_id FROM unnest($2::uuid[]) AS event_id ORDER BY event_id
         ON CONFLICT DO NOTHING RETURNING event_id",
    )
    .bind(consumer)
    .bind(event_ids)
    .fetch_all(tx)
    .await?;
    Ok(first.into_iter().collect())
}

/// Deletes the rows of events that were received longer than `older_than` ago; returns their number.
///
/// Keep them for longer than any broker may redeliver: for Kafka, the topic's retention.
///
/// # Errors
/// The database's, which is also one that it does not answer for 30 s. What was deleted until then stays deleted.
pub async fn purge(pool: &PgPool, older_than: Duration) -> Result<u64, sqlx::Error> {
    let mut purged = 0;
    loop {
        let mut connection = pool.acquire().await?;
        let done = sqlx::query(
            "DELETE FROM inbox WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM inbox WHERE received_at < now() - $1 LIMIT $2))",
        )
        .bind(interval(older_than))
        .bind(PURGE_ROWS)
        .execute(&mut *connection);
        let done = within(ANSWER_TIMEOUT, done).await;
        let done = give_back(connection, done)?;
        purged += done.rows_affected();
        if done.rows_affected() < PURGE_ROWS.unsigned_abs() {
            return Ok(purged);
        }
    }
}

/// A duration as PostgreSQL counts it, in microseconds; longer than 290,000 years is cut.
pub(crate) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
