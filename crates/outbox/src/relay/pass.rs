//! One pass: lock lanes, read rows, publish, delete what was acknowledged, commit.
//!
//! Two statements, and they must be two. The first locks lanes; the second reads their rows *in a later
//! snapshot*, which sees everything that the lanes' last holder did. In one statement the rows would be
//! those of the moment before the lock was had: sent and deleted by somebody else in the meantime.

use futures::StreamExt;
use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::holds::{Fate, View};
use super::publish::{self, PASS_BUDGET, publish_in_order};
use super::row::Row;
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
    shutdown: &CancellationToken,
) -> Result<Outcome, sqlx::Error> {
    let any = "SELECT EXISTS (SELECT FROM outbox WHERE lane = ANY ($1) AND sent_at IS NULL)";
    // Not kept: a plan that was made for a small table would read all of what is kept, once there is more of it.
    let any = sqlx::query_scalar(any).bind(lanes).persistent(false);
    let any = any.fetch_one(&shared.pool);
    let any: bool = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Outcome::default()),
        any = any => any?,
    };
    if any {
        run(shared, lanes, shutdown).await
    } else {
        Ok(Outcome::default())
    }
}

/// Does one pass over `lanes`. Returns an empty outcome if `shutdown` fired before it had a connection.
pub(super) async fn run(
    shared: &Shared,
    lanes: &[i16],
    shutdown: &CancellationToken,
) -> Result<Outcome, sqlx::Error> {
    let view = shared.holds.view(Instant::now());
    let mut tx = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Outcome::default()),
        tx = shared.pool.begin() => tx?,
    };
    let (held, contended) = lock(&mut tx, lanes).await?;
    let rows = if held.is_empty() {
        Vec::new()
    } else {
        read(&mut tx, &held, &view, shared.options.batch).await?
    };
    let mut outcome = Outcome::before(&rows, contended, &view);
    if rows.is_empty() {
        tx.rollback().await?;
        return Ok(outcome);
    }

    let mut fates = Vec::new();
    let mut sent = Vec::with_capacity(rows.len());
    let deadline = Instant::now() + PASS_BUDGET;
    let mut groups = publish::group(rows);
    outcome.unfinished |= publish::probe(&mut groups, &view);
    let mut running = futures::stream::iter(groups)
        .map(|(group, rows)| publish_in_order(shared, group, rows, deadline))
        .buffer_unordered(MAX_IN_FLIGHT);
    while let Some(done) = running.next().await {
        sent.extend(done.sent);
        outcome.unfinished |= done.unfinished;
        fates.extend(done.fate.map(|fate| (done.group, fate)));
    }
    drop(running);

    outcome.held_back |= fates.iter().any(|(_, fate)| !matches!(fate, Fate::Sent));
    shared.holds.record(&fates, Instant::now());
    outcome.sent = sent.len();
    settle(&mut tx, &sent, !shared.options.replay_window.is_zero()).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// Locks those of `lanes` that have rows and that nobody holds. Returns them, and whether another relay holds one. The
/// locks end with the transaction, however it ends.
async fn lock(tx: &mut PgConnection, lanes: &[i16]) -> Result<(Vec<i16>, bool), sqlx::Error> {
    // Materialized: the lock must be tried once for each lane, and for no lane without rows.
    // The settings of the transaction come along, and are no round trip of their own. A lost deletion sends an event again,
    // which at-least-once allows: to wait for the disk at each pass would buy nothing. And the plans of the statements that
    // follow are made when the table is small and kept: they must not read all of it when sent rows are kept. Of this
    // statement `ORDER BY` and `LIMIT` see to that.
    let tried: Vec<(i16, bool)> = sqlx::query_as(
        "WITH ready AS MATERIALIZED (
             SELECT lane.lane FROM unnest($2::smallint[]) AS lane
             CROSS JOIN LATERAL (SELECT id FROM outbox WHERE outbox.lane = lane.lane AND sent_at IS NULL
                                 ORDER BY id LIMIT 1) AS oldest)
         SELECT lane, pg_try_advisory_xact_lock($1, lane),
                set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true)
           FROM ready",
    )
    .bind(lane::LOCK_CLASS)
    .bind(lanes)
    .fetch_all(tx)
    .await?;
    let contended = tried.iter().any(|(_, locked)| !locked);
    Ok((
        tried
            .into_iter()
            .filter(|(_, locked)| *locked)
            .map(|(lane, _)| lane)
            .collect(),
        contended,
    ))
}

/// The oldest rows of the locked lanes, without the destinations and keys on hold.
async fn read(
    tx: &mut PgConnection,
    lanes: &[i16],
    view: &View,
    batch: usize,
) -> Result<Vec<Row>, sqlx::Error> {
    // A prefix in the order of ids, so cutting it at a number of bytes cannot change that order.
    sqlx::query_as(
        "SELECT id, destination, key, headers, payload, found FROM (
             SELECT *, count(*) OVER () AS found,
                 sum(octet_length(payload) + pg_column_size(headers)) OVER (ORDER BY id)
                     - octet_length(payload) - pg_column_size(headers) AS bytes_before
             FROM (
                 SELECT id, destination, key, headers, payload FROM outbox
                 WHERE lane = ANY ($1) AND sent_at IS NULL AND destination <> ALL ($2)
                   AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::text[]) AS held (destination, key)
                                   WHERE held.destination = outbox.destination AND held.key = outbox.key)
                 ORDER BY id LIMIT $5
             ) AS oldest
         ) AS batch
         WHERE bytes_before < $6 ORDER BY id",
    )
    .bind(lanes)
    .bind(&view.destinations)
    .bind(&view.key_destinations)
    .bind(&view.keys)
    .bind(i64::try_from(batch).unwrap_or(i64::MAX))
    .bind(BATCH_BYTES)
    .fetch_all(tx)
    .await
}

/// Deletes acknowledged rows; `keep` marks those of topics instead.
async fn settle(tx: &mut PgConnection, sent: &[i64], keep: bool) -> Result<(), sqlx::Error> {
    let statement = if keep {
        // Queues are durable, and work that is done must not be done again: only topics are kept.
        "WITH kept AS (
             UPDATE outbox SET sent_at = now()
             WHERE id = ANY ($1) AND sent_at IS NULL AND destination LIKE 'topic:%')
         DELETE FROM outbox WHERE id = ANY ($1) AND sent_at IS NULL AND destination NOT LIKE 'topic:%'"
    } else {
        "DELETE FROM outbox WHERE id = ANY ($1) AND sent_at IS NULL"
    };
    sqlx::query(statement).bind(sent).execute(tx).await?;
    Ok(())
}
