//! The stored answers under idempotency keys.

use std::time::Duration;

use chassis::db;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// The most keys that one statement of [`purge_keys`] deletes, so that transactions and locks are short.
const PURGE_ROWS: i64 = 10_000;

/// The answer under a key.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct StoredAnswer {
    /// SHA-256 of the answered request.
    pub(crate) request_hash: Vec<u8>,
    /// The status code.
    #[sqlx(try_from = "i16")]
    pub(crate) status_code: StatusCode,
    /// The body, byte for byte.
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

/// Deletes keys that are older than `older_than`; returns their number.
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
        .execute(pool);
        let done = db::within(db::ANSWER_TIMEOUT, done).await?;
        purged += done.rows_affected();
        if done.rows_affected() < PURGE_ROWS.cast_unsigned() {
            return Ok(purged);
        }
    }
}
