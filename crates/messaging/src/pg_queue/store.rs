//! The SQL, one function a statement. Times are the database's: consumers' clocks may differ.

use std::time::Duration;

use bytes::Bytes;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::Message;

/// Serialises installers: `IF NOT EXISTS` alone fails when two create the same table at once.
const INSTALL_LOCK: i64 = 0x6d71_5f71_7565_7565; // "mq_queue"

/// A message under our lease.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: i64,
    pub(super) lease: Uuid,
    /// Tries, this one included.
    pub(super) attempts: u32,
    pub(super) message: Message,
}

pub(super) async fn install(pool: &PgPool) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(INSTALL_LOCK)
        .execute(&mut *tx)
        .await?;
    // `IF NOT EXISTS` is worth a notice to PostgreSQL; it would be a log line at each start.
    sqlx::query("SET LOCAL client_min_messages = warning")
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(include_str!("schema.sql"))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
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

/// Answers with the queue, or with nothing if it was not declared.
pub(super) async fn send(
    pool: &PgPool,
    queue: &str,
    message: &Message,
    delay: Duration,
) -> sqlx::Result<Vec<String>> {
    const SEND: &str = "
        INSERT INTO mq_message (queue, key, headers, payload, visible_at)
        SELECT name, $2, $3, $4, now() + make_interval(secs => $5) FROM mq_queue WHERE name = $1
        RETURNING queue";
    insert(pool, SEND, queue, message, delay).await
}

/// Answers with the queues that got a copy. One statement: all of them or none.
pub(super) async fn fan_out(
    pool: &PgPool,
    exchange: &str,
    message: &Message,
    delay: Duration,
) -> sqlx::Result<Vec<String>> {
    const FAN_OUT: &str = "
        INSERT INTO mq_message (queue, key, headers, payload, visible_at)
        SELECT queue, $2, $3, $4, now() + make_interval(secs => $5) FROM mq_binding WHERE exchange = $1
        RETURNING queue";
    insert(pool, FAN_OUT, exchange, message, delay).await
}

async fn insert(
    pool: &PgPool,
    sql: &'static str,
    name: &str,
    message: &Message,
    delay: Duration,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(sql)
        .bind(name)
        .bind(&message.key)
        .bind(Json(&message.headers))
        .bind(&message.payload[..])
        .bind(delay.as_secs_f64())
        .fetch_all(pool)
        .await
}

/// Takes up to `limit` due messages, and hides them from others for `visibility`.
pub(super) async fn claim(
    pool: &PgPool,
    queue: &str,
    limit: usize,
    visibility: Duration,
) -> sqlx::Result<Vec<Claimed>> {
    // MATERIALIZED: the planner might otherwise run the limited subquery more than once, and lock
    // more rows than it was asked for.
    const CLAIM: &str = "
        WITH due AS MATERIALIZED (
            SELECT id FROM mq_message
            WHERE queue = $1 AND visible_at <= now()
            ORDER BY visible_at, id
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        UPDATE mq_message AS m
        SET attempts = m.attempts + 1, lease = $3, visible_at = now() + make_interval(secs => $4)
        FROM due WHERE m.id = due.id
        RETURNING m.id, m.attempts, m.key, m.headers, m.payload";
    let lease = Uuid::new_v4();
    let rows = sqlx::query(CLAIM)
        .bind(queue)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(lease)
        .bind(visibility.as_secs_f64())
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let Json(headers) = row.try_get("headers")?;
            let attempts: i32 = row.try_get("attempts")?;
            Ok(Claimed {
                id: row.try_get("id")?,
                lease,
                attempts: attempts.unsigned_abs(),
                message: Message {
                    key: row.try_get("key")?,
                    headers,
                    payload: Bytes::from(row.try_get::<Vec<u8>, _>("payload")?),
                },
            })
        })
        .collect()
}

/// Hides the message for another `visibility`. False: it is not ours any more.
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

/// It is done. False: it was not ours any more, and somebody else will do it again.
pub(super) async fn acknowledge(pool: &PgPool, claimed: &Claimed) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM mq_message WHERE id = $1 AND lease = $2")
        .bind(claimed.id)
        .bind(claimed.lease)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Again after `delay`. False as above.
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

/// Moves the message to the dead-letter queue, with the headers that tell why. False as above.
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

/// Gives messages back untried: others may have them at once.
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
