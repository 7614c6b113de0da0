//! SQL of the signing keys. Each function is one statement in the transaction of [`super::Keyring::maintain`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row as _};

use super::{KeyError, RETIREMENT_MARGIN, SigningKey};

/// The advisory lock for changes of keys: an arbitrary number, since the service has its own database.
const LOCK: i64 = 0x6B65_7973;

/// Waits for the lock; it is held until the end of the transaction.
pub(super) async fn lock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(tx)
        .await
        .map(drop)
}

/// The time of the database. Not `now()`, which is the start of the transaction, before the lock.
pub(super) async fn now(tx: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(tx)
        .await
}

/// Records that tokens of this lifetime are signed. A shorter lifetime than the recorded one changes nothing, since
/// longer tokens were already issued.
pub(super) async fn raise_token_lifetime(
    tx: &mut PgConnection,
    lifetime: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE signing_keys SET token_lifetime_s = $1 WHERE token_lifetime_s < $1")
        .bind(whole_seconds(lifetime))
        .execute(tx)
        .await
        .map(drop)
}

/// Deletes keys whose last token has expired, i.e. whose successor took over long enough ago.
pub(super) async fn forget_retired(
    tx: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM signing_keys AS old
          WHERE EXISTS (
                SELECT FROM signing_keys AS successor
                 WHERE successor.active_from > old.active_from
                   AND successor.active_from
                       + make_interval(secs => old.token_lifetime_s + $2) < $1)",
    )
    .bind(now)
    .bind(whole_seconds(RETIREMENT_MARGIN))
    .execute(tx)
    .await
    .map(drop)
}

/// All keys, oldest first.
pub(super) async fn all(tx: &mut PgConnection) -> Result<Vec<SigningKey>, KeyError> {
    let rows = sqlx::query("SELECT seed, active_from FROM signing_keys ORDER BY active_from")
        .fetch_all(tx)
        .await?;
    rows.iter()
        .map(|row| SigningKey::from_seed(row.try_get("seed")?, row.try_get("active_from")?))
        .collect()
}

/// Adds a key.
pub(super) async fn insert(
    tx: &mut PgConnection,
    key: &SigningKey,
    lifetime: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO signing_keys (kid, seed, public_x, active_from, token_lifetime_s)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&key.kid)
    .bind(key.seed)
    .bind(&key.public_x)
    .bind(key.active_from)
    .bind(whole_seconds(lifetime))
    .execute(tx)
    .await
    .map(drop)
}

/// Rounded up: a key may stay a second too long, but never be deleted too early.
fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4) + 1
}
