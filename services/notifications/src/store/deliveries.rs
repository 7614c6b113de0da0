//! The delivery log, which ensures that a mail is sent once.

use std::time::Duration;

use contracts::jobs::EmailJob;
use envelope::Event;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

/// The most rows that one statement of [`purge`] deletes.
const PURGE_ROWS: i64 = 10_000;
/// The most characters of an error that are stored.
const ERROR_CHARS_MAX: usize = 500;

/// The result of claiming a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The claim succeeded for the length of the lease: send the mail.
    Ours(Uuid),
    /// The mail was already sent.
    Sent,
    /// Another worker holds the claim.
    Theirs,
}

/// Claims a job for `lease`. If several workers try at once, exactly one succeeds.
pub(crate) async fn claim(
    pool: &PgPool,
    job: &Event<EmailJob>,
    recipient: &str,
    lease: Duration,
) -> Result<Claim, sqlx::Error> {
    let claim = Uuid::now_v7();
    // A conflict waits for the other transaction and then sees its row, so that there is no gap between check and
    // write.
    let done = sqlx::query(
        "INSERT INTO deliveries (job_id, user_id, order_id, template, recipient, state, claim, claimed_until, attempts)
         VALUES ($1, $2, $3, $4, $5, 'claimed', $6, now() + $7, 1)
         ON CONFLICT (job_id) DO UPDATE SET
             recipient = EXCLUDED.recipient, claim = EXCLUDED.claim, claimed_until = EXCLUDED.claimed_until,
             attempts = deliveries.attempts + 1
         WHERE deliveries.state = 'claimed' AND deliveries.claimed_until <= now()",
    )
    .bind(job.id)
    .bind(job.data.user_id())
    .bind(job.data.order_id())
    .bind(job.data.template())
    .bind(recipient)
    .bind(claim)
    .bind(interval(lease))
    .execute(pool)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Claim::Ours(claim));
    }
    let sent: bool = sqlx::query_scalar("SELECT state = 'sent' FROM deliveries WHERE job_id = $1")
        .bind(job.id)
        .fetch_one(pool)
        .await?;
    Ok(if sent { Claim::Sent } else { Claim::Theirs })
}

/// Extends a claim by another `lease`.
pub(crate) async fn extend(
    pool: &PgPool,
    job_id: Uuid,
    claim: Uuid,
    lease: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE deliveries SET claimed_until = now() + $3 WHERE job_id = $1 AND claim = $2 AND state = 'claimed'")
        .bind(job_id)
        .bind(claim)
        .bind(interval(lease))
        .execute(pool)
        .await?;
    Ok(())
}

/// Records that the mail server accepted the mail. It does not check who holds the claim, since the mail was sent in
/// any case.
pub(crate) async fn sent(pool: &PgPool, job_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE deliveries SET state = 'sent', sent_at = now(), last_error = NULL WHERE job_id = $1 AND state = 'claimed'")
        .bind(job_id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Releases a claim, with the reason, so that the next try need not wait for the lease to expire.
pub(crate) async fn release(
    pool: &PgPool,
    job_id: Uuid,
    claim: Uuid,
    why: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE deliveries SET claimed_until = now(), last_error = $3 WHERE job_id = $1 AND claim = $2 AND state = 'claimed'")
        .bind(job_id)
        .bind(claim)
        .bind(why.chars().take(ERROR_CHARS_MAX).collect::<String>())
        .execute(pool)
        .await?;
    Ok(())
}

/// Deletes rows that are older than `older_than`; returns their number.
pub(crate) async fn purge(pool: &PgPool, older_than: Duration) -> Result<u64, sqlx::Error> {
    let mut purged = 0;
    loop {
        let done = sqlx::query(
            "DELETE FROM deliveries WHERE job_id IN (
                 SELECT job_id FROM deliveries WHERE created_at < now() - $1 LIMIT $2)",
        )
        .bind(interval(older_than))
        .bind(PURGE_ROWS)
        .execute(pool)
        .await?;
        purged += done.rows_affected();
        if done.rows_affected() < PURGE_ROWS.unsigned_abs() {
            return Ok(purged);
        }
    }
}

/// A duration as a PostgreSQL interval, in microseconds.
fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
