//! The SQL, one function a statement. Times are the database's: consumers' clocks may differ.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Message;

/// Messages that are counted at most: a larger number would not change an alarm, only the cost.
const COUNTED_MAX: i64 = 10_000;

/// A message under our lease.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: i64,
    pub(super) lease: Uuid,
    /// When it was asked for: the lease began no earlier, and maybe long before the answer.
    pub(super) asked_at: Instant,
    /// Tries, this one included.
    pub(super) attempts: u32,
    /// The time since it was published.
    pub(super) age: Duration,
    pub(super) message: Message,
}

pub(super) async fn declare(pool: &PgPool, queue: &str, dead: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO mq_queue (name) VALUES ($1), ($2) ON CONFLICT DO NOTHING")
        .bind(queue)
        .bind(dead)
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn bind(pool: &PgPool, exchange: &str, queue: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO mq_binding (exchange, queue) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(exchange)
        .bind(queue)
        .execute(pool)
        .await?;
    Ok(())
}

/// A message to be published.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// To all queues that are bound to `name`, instead of to the queue of that name.
    pub(super) is_exchange: bool,
    pub(super) name: String,
    pub(super) message: Message,
}

/// Returns, for each message, the queues that got a copy: none if the queue was not declared or nothing is bound. One
/// statement: all of them or none.
pub(super) async fn publish(
    pool: &PgPool,
    outgoing: &[Outgoing],
) -> sqlx::Result<Vec<Vec<String>>> {
    const PUBLISH: &str = "
        WITH message AS MATERIALIZED (
            SELECT * FROM unnest($1::boolean[], $2::text[], $3::text[], $4::jsonb[], $5::bytea[])
                WITH ORDINALITY AS message (is_exchange, name, key, headers, payload, position)
        ), target AS MATERIALIZED (
            SELECT position, mq_queue.name AS queue FROM message JOIN mq_queue USING (name)
             WHERE NOT is_exchange
            UNION ALL
            SELECT position, queue FROM message JOIN mq_binding ON exchange = name WHERE is_exchange
        ), sent AS (
            INSERT INTO mq_message (queue, key, headers, payload)
            SELECT queue, key, headers, payload
              FROM target JOIN message USING (position) ORDER BY position
        )
        SELECT position, queue FROM target";
    let reached: Vec<(i64, String)> = sqlx::query_as(PUBLISH)
        .bind(column(outgoing, |out| out.is_exchange))
        .bind(column(outgoing, |out| out.name.as_str()))
        .bind(column(outgoing, |out| out.message.key.as_deref()))
        .bind(column(outgoing, |out| Json(&out.message.headers)))
        .bind(column(outgoing, |out| &out.message.payload[..]))
        .fetch_all(pool)
        .await?;
    let mut queues = vec![Vec::new(); outgoing.len()];
    for (position, queue) in reached {
        // Positions count from 1.
        let at = usize::try_from(position - 1).unwrap_or(usize::MAX);
        if let Some(queues) = queues.get_mut(at) {
            queues.push(queue);
        }
    }
    Ok(queues)
}

fn column<'a, T>(outgoing: &'a [Outgoing], field: impl Fn(&'a Outgoing) -> T) -> Vec<T> {
    outgoing.iter().map(field).collect()
}

/// Takes up to `limit` due messages, and hides them from others for `visibility`.
pub(super) async fn claim(
    pool: &PgPool,
    queue: &str,
    limit: usize,
    visibility: Duration,
) -> sqlx::Result<Vec<Claimed>> {
    let (lease, asked_at) = (Uuid::new_v4(), Instant::now());
    let rows = sqlx::query("SELECT * FROM mq_claim($1, $2, $3, $4)")
        .bind(queue)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(lease)
        .bind(visibility.as_secs_f64())
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let attempts: i32 = row.try_get("attempts")?;
            Ok(Claimed {
                id: row.try_get("id")?,
                lease,
                asked_at,
                attempts: attempts.unsigned_abs(),
                // Negative after the database's clock was set back.
                age: Duration::try_from_secs_f64(row.try_get("age")?).unwrap_or_default(),
                message: message(row)?,
            })
        })
        .collect()
}

/// The message in a row. One whose headers are of another form, since somebody else wrote them, has none: it is for its handler
/// to refuse, and must not fail the messages that were claimed with it.
pub(super) fn message(row: &PgRow) -> sqlx::Result<Message> {
    let headers = row.try_get::<Json<Vec<(String, String)>>, _>("headers");
    Ok(Message {
        key: row.try_get("key")?,
        headers: headers.map_or_else(|_| Vec::new(), |Json(headers)| headers),
        payload: Bytes::from(row.try_get::<Vec<u8>, _>("payload")?),
    })
}

/// Messages of the queue that are due and that nobody works on, counted up to [`COUNTED_MAX`].
pub(super) async fn waiting(pool: &PgPool, queue: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT FROM mq_message WHERE queue = $1 AND visible_at <= now() LIMIT $2) AS due",
    )
    .bind(queue)
    .bind(COUNTED_MAX)
    .fetch_one(pool)
    .await
}

/// Extends the lease of the message to `visibility` from now. False if it was lost.
pub(super) async fn extend(
    pool: &PgPool,
    claimed: &Claimed,
    visibility: Duration,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE mq_message SET visible_at = now() + make_interval(secs => $3) WHERE id = $1 AND lease = $2",
    )
    .bind(claimed.id)
    .bind(claimed.lease)
    .bind(visibility.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes handled messages. Returns those whose lease was still ours; the others are handled again by another
/// consumer.
pub(super) async fn acknowledge(pool: &PgPool, done: &[(i64, Uuid)]) -> sqlx::Result<HashSet<i64>> {
    let (ids, leases): (Vec<i64>, Vec<Uuid>) = done.iter().copied().unzip();
    let ids = sqlx::query_scalar("SELECT * FROM mq_acknowledge($1, $2)")
        .bind(ids)
        .bind(leases)
        .fetch_all(pool)
        .await?;
    let mut gone: HashSet<i64> = ids.into_iter().collect();
    // A row that was changed at the same time, since its lease was extended, was passed over: it is in another place now.
    let left: Vec<_> = done.iter().filter(|(id, _)| !gone.contains(id)).collect();
    for (id, lease) in left {
        let deleted = sqlx::query("DELETE FROM mq_message WHERE id = $1 AND lease = $2")
            .bind(id)
            .bind(lease)
            .execute(pool)
            .await?;
        if deleted.rows_affected() > 0 {
            gone.insert(*id);
        }
    }
    Ok(gone)
}

/// Makes the message visible again after `delay`. False if the lease was lost: another consumer handles it again.
pub(super) async fn retry(pool: &PgPool, claimed: &Claimed, delay: Duration) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE mq_message SET lease = NULL, visible_at = now() + make_interval(secs => $3)
         WHERE id = $1 AND lease = $2",
    )
    .bind(claimed.id)
    .bind(claimed.lease)
    .bind(delay.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Moves the message to the dead-letter queue, with the headers that say why. False if the lease was lost.
pub(super) async fn park(
    pool: &PgPool,
    claimed: &Claimed,
    dead: &str,
    parked: &Message,
    delay: Duration,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE mq_message
         SET queue = $3, headers = $4, attempts = 0, lease = NULL,
             visible_at = now() + make_interval(secs => $5)
         WHERE id = $1 AND lease = $2",
    )
    .bind(claimed.id)
    .bind(claimed.lease)
    .bind(dead)
    .bind(Json(&parked.headers))
    .bind(delay.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends the leases of unfinished messages and does not count the attempt: others can claim them at once.
pub(super) async fn release(pool: &PgPool, held: &[(i64, Uuid)]) -> sqlx::Result<()> {
    let (ids, leases): (Vec<i64>, Vec<Uuid>) = held.iter().copied().unzip();
    sqlx::query(
        "UPDATE mq_message AS m SET lease = NULL, visible_at = now(), attempts = greatest(m.attempts - 1, 0)
         FROM unnest($1::bigint[], $2::uuid[]) AS held (id, lease)
         WHERE m.id = held.id AND m.lease = held.lease",
    )
    .bind(ids)
    .bind(leases)
    .execute(pool)
    .await?;
    Ok(())
}
