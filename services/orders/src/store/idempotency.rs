//! Idempotency keys: an order and the answer that it was given, or neither.

use std::time::Duration;

use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::{bind_order, insert_order};
use crate::domain::Order;

/// Keys that one statement of [`purge_keys`] deletes at most: short transactions, short locks.
const PURGE_ROWS: i64 = 10_000;

/// What is to be remembered under a key, together with an order.
pub(crate) struct Claim<'a> {
    /// The client's key; it belongs to the order's user.
    pub(crate) key: &'a str,
    /// The advisory lock of user and key, held until the transaction ends.
    pub(crate) lock: i64,
    /// SHA-256 of the request.
    pub(crate) request_hash: &'a [u8],
    /// What the client is about to be answered.
    pub(crate) status_code: u16,
    /// The same, byte by byte.
    pub(crate) body: &'a [u8],
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The order and its answer are inserted.
    Placed,
    /// Another transaction is in the middle of an order with this key. Nothing was inserted.
    Running,
    /// An order with this key has been placed before; see [`find_answer`]. Nothing was inserted.
    Taken,
}

/// Inserts a new order with its lines and the answer under its key, if nobody else did or does.
///
/// One statement. The lock is *tried*: a second request is told "running" at once, instead of waiting
/// and holding a connection. A key that was committed between this statement's snapshot and its
/// insert is caught by `ON CONFLICT`, which sees committed rows whatever the snapshot; so two
/// orders for a key cannot be, even if two keys share a lock by chance.
pub(crate) async fn place_with_key(
    tx: &mut PgConnection,
    order: &Order,
    claim: &Claim<'_>,
) -> sqlx::Result<Claimed> {
    let sql = concat!(
        "WITH lock AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($12) AS taken),
              claim AS (
                  INSERT INTO idempotency_keys (user_id, key, request_hash, status_code, body, order_id)
                  SELECT $2, $13, $14, $15, $16, $1 FROM lock WHERE taken
                      ON CONFLICT DO NOTHING
                  RETURNING order_id), ",
        insert_order!("FROM claim"),
        "SELECT taken, EXISTS (SELECT FROM new_order) FROM lock"
    );
    let (lock_taken, placed): (bool, bool) = bind_order!(sqlx::query_as(sql), order)
        .bind(claim.lock)
        .bind(claim.key)
        .bind(claim.request_hash)
        .bind(claim.status_code.cast_signed())
        .bind(claim.body)
        .fetch_one(tx)
        .await?;
    Ok(match (lock_taken, placed) {
        (false, _) => Claimed::Running,
        (true, true) => Claimed::Placed,
        (true, false) => Claimed::Taken,
    })
}

/// What was answered under a key.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct StoredAnswer {
    /// SHA-256 of the request that was answered.
    pub(crate) request_hash: Vec<u8>,
    /// The status code.
    #[sqlx(try_from = "i16")]
    pub(crate) status_code: StatusCode,
    /// The body, byte by byte.
    pub(crate) body: Vec<u8>,
    /// The order, for the header `Location`.
    pub(crate) order_id: Uuid,
}

/// An HTTP status code as a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusCode(pub(crate) http::StatusCode);

impl TryFrom<i16> for StatusCode {
    type Error = http::status::InvalidStatusCode;

    fn try_from(code: i16) -> Result<Self, Self::Error> {
        http::StatusCode::from_u16(code.cast_unsigned()).map(Self)
    }
}

/// The answer under a key, if there is one.
pub(crate) async fn find_answer(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    key: &str,
) -> sqlx::Result<Option<StoredAnswer>> {
    sqlx::query_as(
        "SELECT request_hash, status_code, body, order_id
           FROM idempotency_keys WHERE user_id = $1 AND key = $2",
    )
    .bind(user_id)
    .bind(key)
    .fetch_optional(db)
    .await
}

/// Forgets keys that are older than `older_than`; answers how many.
pub(crate) async fn purge_keys(pool: &PgPool, older_than: Duration) -> sqlx::Result<u64> {
    let mut purged = 0;
    loop {
        let done = sqlx::query(
            "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM idempotency_keys
                  WHERE created_at < now() - make_interval(secs => $1) LIMIT $2))",
        )
        .bind(older_than.as_secs_f64())
        .bind(PURGE_ROWS)
        .execute(pool)
        .await?;
        purged += done.rows_affected();
        if done.rows_affected() < PURGE_ROWS.cast_unsigned() {
            return Ok(purged);
        }
    }
}
