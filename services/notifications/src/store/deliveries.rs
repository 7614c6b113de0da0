//! The delivery log, which ensures that a mail is sent once.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::slice;
use std::time::Duration;

use chassis::db;
use contracts::jobs::EmailJob;
use envelope::Event;
use messaging::Together;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use crate::domain::Recipient;

/// The most rows that one statement of [`purge`] deletes.
const PURGE_ROWS: i64 = 10_000;
/// The most characters of an error that are stored.
const ERROR_CHARS_MAX: usize = 500;

/// The result of claiming a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The claim succeeded for the length of the lease: send the mail, to this recipient.
    Ours(Uuid, Recipient),
    /// The mail was already sent.
    Sent,
    /// Another worker holds the claim.
    Theirs,
    /// The job does not name its recipient, and nothing is known about the user yet. Nothing was claimed.
    Unknown,
}

/// A job to be claimed.
#[derive(Debug)]
struct Wanted {
    job_id: Uuid,
    user_id: Uuid,
    order_id: Option<Uuid>,
    template: &'static str,
    recipient: Option<Recipient>,
    claim: Uuid,
}

/// Claims and records of the workers of a process; those that come at the same time share a statement.
#[derive(Debug)]
pub(crate) struct Deliveries {
    pool: PgPool,
    /// How long a claim lasts, unless it is extended.
    lease: Duration,
    /// How long one statement is waited for: all other jobs wait behind it. Half of a lease at most, which counts from when the
    /// database made the claim: behind a later answer somebody else may have it, while a mail is sent for this one.
    answer_timeout: Duration,
    claims: Together<Wanted, sqlx::Result<Claim>>,
    sent: Together<Uuid, sqlx::Result<()>>,
}

impl Deliveries {
    pub(crate) fn new(pool: PgPool, lease: Duration) -> Self {
        Self {
            pool,
            lease,
            answer_timeout: db::ANSWER_TIMEOUT.min(lease / 2),
            claims: Together::default(),
            sent: Together::default(),
        }
    }

    /// How long after a claim, and after each extension, the next extension begins. Of three in a lease the answer of one may be
    /// lost, with the connection that it would have come on.
    pub(crate) fn extended_every(&self) -> Duration {
        self.lease / 3
    }

    /// Claims a job for the length of the lease. If several workers try at once, exactly one succeeds. `recipient` is whom
    /// the job names itself; `None` looks the user up.
    ///
    /// # Errors
    /// Errors of the database; [`sqlx::Error::WorkerCrashed`] if the call that did it for us was cancelled. The claim may
    /// hold then, until its lease is over.
    pub(crate) async fn claim(
        &self,
        job: &Event<EmailJob>,
        recipient: Option<Recipient>,
    ) -> sqlx::Result<Claim> {
        let wanted = Wanted {
            job_id: job.logical_id,
            user_id: job.data.user_id(),
            order_id: job.data.order_id(),
            template: job.data.template(),
            recipient,
            claim: Uuid::now_v7(),
        };
        let claimed = self.claims.call(wanted, |group| self.claim_group(group));
        claimed.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    async fn claim_group(&self, group: Vec<Wanted>) -> Vec<sqlx::Result<Claim>> {
        match self.claim_in_one_statement(&group).await {
            Ok(claims) => claims.into_iter().map(Ok).collect(),
            Err(error) if group.len() == 1 => vec![Err(error)],
            // Each by itself would meet the same outage, one after the other.
            Err(error) if db::is_unavailable(&error) => {
                let of_each = |_: &Wanted| Err(db::outage_of_all(&error));
                group.iter().map(of_each).collect()
            }
            Err(_) => self.claim_one_by_one(&group).await,
        }
    }

    /// One job of the group may be at fault: the others must not share it.
    async fn claim_one_by_one(&self, group: &[Wanted]) -> Vec<sqlx::Result<Claim>> {
        let mut all = Vec::with_capacity(group.len());
        for wanted in group {
            match self.claim_in_one_statement(slice::from_ref(wanted)).await {
                Ok(claims) => all.extend(claims.into_iter().map(Ok)),
                Err(error) if db::is_unavailable(&error) => {
                    all.resize_with(group.len(), || Err(db::outage_of_all(&error)));
                    break;
                }
                Err(error) => all.push(Err(error)),
            }
        }
        all
    }

    /// What came of each job, in their order.
    async fn claim_in_one_statement(&self, group: &[Wanted]) -> sqlx::Result<Vec<Claim>> {
        let claims = claim_all(&self.pool, group, self.lease);
        let mut claims = db::within(self.answer_timeout, claims).await?;
        let outcomes = group.iter().map(|wanted| outcome(&mut claims, wanted));
        Ok(outcomes.collect())
    }

    /// Extends a claim by another lease. An answer is waited for until the next extension is due ([`Self::extended_every`]).
    pub(crate) async fn extend(&self, job_id: Uuid, claim: Uuid) -> Result<(), sqlx::Error> {
        let extended = sqlx::query("UPDATE deliveries SET claimed_until = now() + $3 WHERE job_id = $1 AND claim = $2 AND state = 'claimed'")
            .bind(job_id)
            .bind(claim)
            .bind(interval(self.lease))
            .execute(&self.pool);
        db::within(self.extended_every(), extended).await?;
        Ok(())
    }

    /// Records that the mail server accepted the mail. It does not check who holds the claim, since the mail was sent in
    /// any case.
    ///
    /// # Errors
    /// As [`claim`](Self::claim); it can be repeated.
    pub(crate) async fn sent(&self, job_id: Uuid) -> sqlx::Result<()> {
        let recorded = self.sent.call(job_id, |group| self.sent_group(group));
        recorded.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    async fn sent_group(&self, group: Vec<Uuid>) -> Vec<sqlx::Result<()>> {
        // How many a subquery has PostgreSQL does not know: it makes a plan once, and not one for each small group.
        let recorded = sqlx::query(
            "UPDATE deliveries SET state = 'sent', sent_at = now(), last_error = NULL
             WHERE job_id = ANY (ARRAY(SELECT unnest($1::uuid[]))) AND state = 'claimed'",
        )
        .bind(&group)
        .execute(&self.pool);
        let recorded = db::within(self.answer_timeout, recorded).await;
        // It names jobs and nothing else of theirs: none of them is at fault.
        let answer = |_| recorded.as_ref().map(|_| ()).map_err(db::outage_of_all);
        group.iter().map(answer).collect()
    }

    /// Releases a claim, with the reason, so that the next try need not wait for the lease to expire.
    pub(crate) async fn release(
        &self,
        job_id: Uuid,
        claim: Uuid,
        why: &str,
    ) -> Result<(), sqlx::Error> {
        let released = sqlx::query("UPDATE deliveries SET claimed_until = now(), last_error = $3 WHERE job_id = $1 AND claim = $2 AND state = 'claimed'")
            .bind(job_id)
            .bind(claim)
            .bind(why.chars().take(ERROR_CHARS_MAX).collect::<String>())
            .execute(&self.pool);
        db::within(self.answer_timeout, released).await?;
        Ok(())
    }
}

/// What the database says of a job that was to be claimed.
#[derive(sqlx::FromRow)]
struct Claimed {
    claim: Uuid,
    email: Option<String>,
    name: Option<String>,
    is_ours: bool,
    is_sent: bool,
}

impl Claimed {
    fn outcome(self) -> Claim {
        match (self.email, self.is_ours, self.is_sent) {
            (Some(email), true, _) => {
                let name = self.name.unwrap_or_default();
                Claim::Ours(self.claim, Recipient { email, name })
            }
            (_, _, true) => Claim::Sent,
            (None, _, _) => Claim::Unknown,
            (Some(_), false, false) => Claim::Theirs,
        }
    }
}

/// Claims jobs in one statement; returns what came of each by the id of its claim. Copies of a job behind the first one are
/// left out.
async fn claim_all(
    pool: &PgPool,
    group: &[Wanted],
    lease: Duration,
) -> sqlx::Result<HashMap<Uuid, Claim>> {
    // In the order of their ids, so that two workers wait for each other and never in a circle; and each once, since a
    // statement cannot change a row twice.
    let mut wanted: Vec<_> = group.iter().collect();
    wanted.sort_by_key(|wanted| wanted.job_id);
    wanted.dedup_by_key(|wanted| wanted.job_id);
    // A conflict waits for the other transaction and then sees its row, so that there is no gap between check and
    // write. The state is that of before: another worker who claimed or sent it meanwhile is found by the next try.
    let rows: Vec<Claimed> = sqlx::query_as(
        "WITH wanted AS MATERIALIZED (
             SELECT wanted.job_id, wanted.user_id, wanted.order_id, wanted.template, wanted.claim,
                    coalesce(wanted.email, recipients.email) AS email, coalesce(wanted.name, recipients.name) AS name
               FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[])
                      AS wanted (job_id, user_id, order_id, template, email, name, claim)
                    LEFT JOIN recipients USING (user_id)
         ), claimed AS (
             INSERT INTO deliveries (job_id, user_id, order_id, template, recipient, state, claim, claimed_until, attempts)
             SELECT job_id, user_id, order_id, template, email, 'claimed', claim, now() + $8, 1
               FROM wanted WHERE email IS NOT NULL ORDER BY job_id
             ON CONFLICT (job_id) DO UPDATE SET
                 recipient = EXCLUDED.recipient, claim = EXCLUDED.claim, claimed_until = EXCLUDED.claimed_until,
                 attempts = deliveries.attempts + 1
             WHERE deliveries.state = 'claimed' AND deliveries.claimed_until <= now()
             RETURNING claim
         )
         SELECT wanted.claim, wanted.email, wanted.name, claimed.claim IS NOT NULL AS is_ours,
                coalesce((SELECT state = 'sent' FROM deliveries WHERE deliveries.job_id = wanted.job_id), false) AS is_sent
           FROM wanted LEFT JOIN claimed USING (claim)",
    )
    .bind(column(&wanted, |job| job.job_id))
    .bind(column(&wanted, |job| job.user_id))
    .bind(column(&wanted, |job| job.order_id))
    .bind(column(&wanted, |job| job.template))
    .bind(column(&wanted, |job| job.recipient.as_ref().map(|to| to.email.as_str())))
    .bind(column(&wanted, |job| job.recipient.as_ref().map(|to| to.name.as_str())))
    .bind(column(&wanted, |job| job.claim))
    .bind(interval(lease))
    .fetch_all(pool)
    .await?;
    let claim = |row: Claimed| (row.claim, row.outcome());
    Ok(rows.into_iter().map(claim).collect())
}

/// What came of a job. A second copy of a job in a group finds that the first one has it.
fn outcome(claims: &mut HashMap<Uuid, Claim>, wanted: &Wanted) -> Claim {
    claims.remove(&wanted.claim).unwrap_or(Claim::Theirs)
}

fn column<'a, T>(wanted: &[&'a Wanted], field: impl Fn(&'a Wanted) -> T) -> Vec<T> {
    wanted.iter().map(|wanted| field(wanted)).collect()
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
        .execute(pool);
        let done = db::within(db::ANSWER_TIMEOUT, done).await?;
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
