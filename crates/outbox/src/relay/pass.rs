//! One pass: lock lanes, read rows, publish, delete what was acknowledged, commit.
//!
//! To lock and to read is one call (function.sql says why it is two statements there), to delete another.

use std::time::Duration;

use futures::StreamExt;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, FromRow as _, PgConnection, Row as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::holds::{Fate, Tries, View};
use super::publish::{self, PASS_BUDGET, publish_in_order};
use super::row::Row;
use crate::bounded::{give_back, within};
use crate::lane;

/// Publications in flight at most in one pass, one for each key.
const MAX_IN_FLIGHT: usize = 1000;
/// Bytes of messages that a pass reads at most, give or take one message: events can be large.
const BATCH_BYTES: i64 = 16 * 1024 * 1024;

/// How a pass went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rows found, up to the batch's size.
    pub(super) found: usize,
    /// Rows acknowledged, and not pending any more.
    pub(super) sent: usize,
    /// Some rows were found and not tried: the next pass should begin at once.
    pub(super) unfinished: bool,
    /// Another relay holds a lane that has rows.
    pub(super) contended: bool,
    /// Some keys were excluded or have failed; retry when the earliest hold expires, which may be now.
    pub(super) held_back: bool,
    /// Some keys have failed.
    pub(super) failed: bool,
    /// Some keys were excluded though their holds have expired.
    pub(super) postponed: bool,
    /// The lanes have no rows at all, held back or not.
    pub(super) is_empty: bool,
    /// How long the database looked for rows: it reads over all that is held back.
    pub(super) looked_for: Duration,
}

impl Outcome {
    /// What is known of a pass before it sends these rows.
    fn before(rows: &[Row], contended: bool, view: &View) -> Self {
        let found = rows
            .first()
            .map_or(0, |row| row.found.unsigned_abs() as usize);
        Self {
            found,
            unfinished: rows.len() < found,
            contended,
            held_back: !view.is_empty(),
            postponed: view.postponed,
            is_empty: rows.is_empty() && !contended && view.is_empty(),
            ..Self::default()
        }
    }

    /// Whether nothing is left that this pass knows of.
    pub(super) fn is_all_done(&self) -> bool {
        self.sent == self.found && !self.contended && !self.held_back
    }
}

/// Does one pass if there is something to do: for a worker that nobody has woken, and that mostly finds nothing. To look
/// is one statement without a transaction; a pass that finds nothing is three.
pub(super) async fn run_if_any(
    shared: &Shared,
    lanes: &[i16],
    tries: Tries,
    shutdown: &CancellationToken,
) -> Result<Outcome, sqlx::Error> {
    let any: bool = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Outcome::default()),
        any = has_rows(shared, lanes) => any?,
    };
    if any {
        run(shared, lanes, tries, shutdown).await
    } else {
        Ok(Outcome {
            is_empty: true,
            ..Outcome::default()
        })
    }
}

async fn has_rows(shared: &Shared, lanes: &[i16]) -> Result<bool, sqlx::Error> {
    let any = sqlx::query_scalar("SELECT outbox_has_rows($1)").bind(lanes);
    let mut connection = shared.pool.acquire().await?;
    let any = within(
        shared.options.answer_timeout,
        any.fetch_one(&mut *connection),
    )
    .await;
    give_back(connection, any)
}

/// Does one pass over `lanes`. Returns an empty outcome if `shutdown` fired before it had a transaction.
pub(super) async fn run(
    shared: &Shared,
    lanes: &[i16],
    tries: Tries,
    shutdown: &CancellationToken,
) -> Result<Outcome, sqlx::Error> {
    let mut connection = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Outcome::default()),
        connection = shared.pool.acquire() => connection?,
    };
    let passed = run_on(&mut connection, shared, lanes, tries, shutdown).await;
    give_back(connection, passed)
}

async fn run_on(
    connection: &mut PgConnection,
    shared: &Shared,
    lanes: &[i16],
    tries: Tries,
    shutdown: &CancellationToken,
) -> Result<Outcome, sqlx::Error> {
    let limit = shared.options.answer_timeout;
    let view = shared.holds.view(Instant::now(), tries);
    let mut tx = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Outcome::default()),
        tx = within(limit, connection.begin()) => tx?,
    };
    let begun = Instant::now();
    let taken = take(&mut tx, lanes, &view, shared.options.batch);
    let (rows, contended) = within(limit, taken).await?;
    let mut outcome = Outcome::before(&rows, contended, &view);
    outcome.looked_for = begun.elapsed();
    if rows.is_empty() {
        within(limit, tx.rollback()).await?;
        return Ok(outcome);
    }
    let sent = publish_all(shared, rows, &view, &mut outcome).await;
    let keep = !shared.options.replay_window.is_zero();
    within(limit, settle(&mut tx, &sent, keep)).await?;
    within(limit, tx.commit()).await?;
    Ok(outcome)
}

/// Publishes the rows, and notes what became of them. Returns the places of those that were acknowledged.
async fn publish_all(
    shared: &Shared,
    rows: Vec<Row>,
    view: &View,
    outcome: &mut Outcome,
) -> Vec<String> {
    let mut fates = Vec::new();
    let mut sent = Vec::with_capacity(rows.len());
    let deadline = Instant::now() + PASS_BUDGET;
    let mut groups = publish::group(rows);
    outcome.unfinished |= publish::probe(&mut groups, view);
    let mut running = futures::stream::iter(groups)
        .map(|(group, rows)| publish_in_order(shared, group, rows, deadline))
        .buffer_unordered(MAX_IN_FLIGHT);
    while let Some(done) = running.next().await {
        sent.extend(done.sent);
        outcome.unfinished |= done.unfinished;
        fates.extend(done.fate.map(|fate| (done.group, fate)));
    }
    drop(running);

    outcome.failed = fates.iter().any(|(_, fate)| !matches!(fate, Fate::Sent));
    outcome.held_back |= outcome.failed;
    shared.holds.record(&fates, Instant::now());
    outcome.sent = sent.len();
    sent
}

/// Locks those of `lanes` that have rows and that nobody holds, and reads their oldest rows, without the destinations and keys
/// on hold. Returns them, and whether another relay holds a lane. The locks end with the transaction, however it ends.
async fn take(
    tx: &mut PgConnection,
    lanes: &[i16],
    view: &View,
    batch: usize,
) -> Result<(Vec<Row>, bool), sqlx::Error> {
    let answer: Vec<PgRow> =
        sqlx::query("SELECT * FROM outbox_claim_as_stored($1, $2, $3, $4, $5, $6, $7)")
            .bind(lane::LOCK_CLASS)
            .bind(lanes)
            .bind(&view.destinations)
            .bind(&view.key_destinations)
            .bind(&view.keys)
            .bind(i64::try_from(batch).unwrap_or(i64::MAX))
            .bind(BATCH_BYTES)
            .fetch_all(tx)
            .await?;
    let (mut rows, mut contended) = (Vec::with_capacity(answer.len()), false);
    for row in &answer {
        match row.try_get::<Option<i64>, _>("id")? {
            Some(_) => rows.push(Row::from_row(row)?),
            None => contended = true,
        }
    }
    Ok((rows, contended))
}

/// Deletes acknowledged rows; `keep` marks those of topics instead.
///
/// By their places and not by their ids, and without a condition that an index has, too. PostgreSQL takes the indexes of pending
/// rows for empty, which they are whenever it looks, and would read a whole one, with all that is pending and what was sent since
/// it was cleaned up, rather than look up each row. Nobody else changes a row of a lane that is held.
async fn settle(tx: &mut PgConnection, sent: &[String], keep: bool) -> Result<(), sqlx::Error> {
    let statement = if keep {
        // Queues are durable, and work that is done must not be done again: only topics are kept.
        "WITH kept AS (
             UPDATE outbox SET sent_at = now()
             WHERE ctid = ANY ($1::text[]::tid[]) AND destination LIKE 'topic:%')
         DELETE FROM outbox WHERE ctid = ANY ($1::text[]::tid[]) AND destination NOT LIKE 'topic:%'"
    } else {
        "DELETE FROM outbox WHERE ctid = ANY ($1::text[]::tid[])"
    };
    sqlx::query(statement).bind(sent).execute(tx).await?;
    Ok(())
}
