//! One pass: lock lanes, read rows, publish, delete what was acknowledged, commit.
//!
//! Two statements, and they must be two. The first locks lanes; the second reads their rows *in a later
//! snapshot*, which sees everything that the lanes' last holder did. In one statement the rows would be
//! those of the moment before the lock was had: sent and deleted by somebody else in the meantime.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use messaging::{Destination, Message, PublishError};
use sqlx::PgConnection;
use sqlx::types::Json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::holds::{Fate, Group, View};
use crate::lane;

/// A lost deletion sends an event again, which at-least-once allows; waiting for the disk at each pass
/// would buy nothing. Both in one round trip.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// Publications in flight at most in one pass, one for each key.
const MAX_IN_FLIGHT: usize = 1000;
/// After this a pass begins no further publication: lanes must not wait for one busy key.
const PASS_BUDGET: Duration = Duration::from_millis(250);
/// A publication without an answer after this counts as failed, whatever the publisher does.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// Keys with which a destination is probed that was away.
const PROBES: usize = 8;

/// How a pass went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rows read.
    pub(super) read: usize,
    /// Rows acknowledged, and gone from the outbox.
    pub(super) sent: usize,
    /// Some rows were read and not tried: go on at once.
    pub(super) unfinished: bool,
    /// Some lane with rows was in the hands of another relay.
    pub(super) contended: bool,
    /// Something was held back when the pass began, or failed in it: rows may be left that can be tried
    /// as soon as a hold has run out, which it may already have.
    pub(super) held_back: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    destination: String,
    key: String,
    headers: Json<Vec<(String, String)>>,
    payload: Vec<u8>,
}

/// Does one pass over `lanes`. Answers nothing if `shutdown` fired before there was anything in hand.
pub(super) async fn run(
    shared: &Shared,
    lanes: &[i16],
    shutdown: &CancellationToken,
) -> Result<Outcome, sqlx::Error> {
    let view = shared.holds.view(Instant::now());
    let mut tx = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Outcome::default()),
        tx = shared.pool.begin_with(BEGIN) => tx?,
    };
    let (held, contended) = lock(&mut tx, lanes).await?;
    let rows = if held.is_empty() { Vec::new() } else { read(&mut tx, &held, &view, shared.options.batch).await? };
    let mut outcome = Outcome { read: rows.len(), contended, held_back: !view.is_empty(), ..Outcome::default() };
    if rows.is_empty() {
        tx.rollback().await?;
        return Ok(outcome);
    }

    let mut fates = Vec::new();
    let mut sent = Vec::with_capacity(rows.len());
    let deadline = Instant::now() + PASS_BUDGET;
    let mut groups = group(rows);
    outcome.unfinished = probe(&mut groups, &view);
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

/// Locks those of `lanes` that have rows and that nobody holds; also answers whether somebody holds one.
/// The locks end with the transaction, however it ends.
async fn lock(tx: &mut PgConnection, lanes: &[i16]) -> Result<(Vec<i16>, bool), sqlx::Error> {
    // Materialized: the lock must be tried once for each lane, and for no lane without rows.
    let tried: Vec<(i16, bool)> = sqlx::query_as(
        "WITH ready AS MATERIALIZED (
             SELECT lane FROM unnest($2::smallint[]) AS lane
             WHERE EXISTS (SELECT FROM outbox WHERE outbox.lane = lane.lane))
         SELECT lane, pg_try_advisory_xact_lock($1, lane) FROM ready",
    )
    .bind(lane::LOCK_CLASS)
    .bind(lanes)
    .fetch_all(tx)
    .await?;
    let contended = tried.iter().any(|(_, locked)| !locked);
    Ok((tried.into_iter().filter(|(_, locked)| *locked).map(|(lane, _)| lane).collect(), contended))
}

/// The oldest rows of the lanes that are held, without what is held back.
async fn read(tx: &mut PgConnection, lanes: &[i16], view: &View, batch: usize) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, destination, key, headers, payload FROM outbox
         WHERE lane = ANY ($1) AND destination <> ALL ($2)
           AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::text[]) AS held (destination, key)
                           WHERE held.destination = outbox.destination AND held.key = outbox.key)
         ORDER BY id LIMIT $5",
    )
    .bind(lanes)
    .bind(&view.destinations)
    .bind(&view.key_destinations)
    .bind(&view.keys)
    .bind(i64::try_from(batch).unwrap_or(i64::MAX))
    .fetch_all(tx)
    .await
}

/// Rows by key and destination, in order.
fn group(rows: Vec<Row>) -> Vec<(Group, Vec<Row>)> {
    let mut index: HashMap<Group, usize> = HashMap::new();
    let mut groups: Vec<(Group, Vec<Row>)> = Vec::new();
    for row in rows {
        let group = (row.destination.clone(), row.key.clone());
        let at = *index.entry(group.clone()).or_insert_with(|| {
            groups.push((group, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(row);
    }
    groups
}

/// Of a destination on probation, leaves a few keys with one row each; answers whether it took any away.
fn probe(groups: &mut Vec<(Group, Vec<Row>)>, view: &View) -> bool {
    let rows = |groups: &[(Group, Vec<Row>)]| groups.iter().map(|(_, rows)| rows.len()).sum::<usize>();
    let before = rows(groups);
    for (destination, failures) in &view.probing {
        let keys = groups.iter().filter(|(group, _)| group.0 == *destination).count();
        // Spread over all keys and other ones each time: the oldest may be the only ones that fail.
        let stride = keys.div_ceil(PROBES).max(1);
        let mut at = 0;
        groups.retain_mut(|(group, rows)| {
            if group.0 != *destination {
                return true;
            }
            rows.truncate(1);
            at += 1;
            (at - 1) % stride == failures % stride
        });
    }
    rows(groups) < before
}

struct Done {
    group: Group,
    sent: Vec<i64>,
    /// Nothing if no row of the group was tried.
    fate: Option<Fate>,
    unfinished: bool,
}

/// Publishes the rows of one group, each one after the last was acknowledged; stops at the first failure.
async fn publish_in_order(shared: &Shared, group: Group, rows: Vec<Row>, deadline: Instant) -> Done {
    let mut done = Done { group, sent: Vec::with_capacity(rows.len()), fate: None, unfinished: false };
    let destination = match done.group.0.parse::<Destination>() {
        Ok(destination) => destination,
        Err(error) => {
            done.fate = Some(Fate::Rejected(error.to_string()));
            return done;
        }
    };
    for row in rows {
        if Instant::now() >= deadline {
            done.unfinished = true;
            break;
        }
        let message = Message { key: Some(row.key), headers: row.headers.0, payload: row.payload.into() };
        let answer = tokio::time::timeout(PUBLISH_TIMEOUT, shared.publisher.publish(&destination, message)).await;
        let fate = match answer {
            Ok(Ok(_)) => Fate::Sent,
            Ok(Err(PublishError::Unavailable(reason))) => Fate::Unavailable(reason),
            Ok(Err(PublishError::Rejected(reason))) => Fate::Rejected(reason),
            Err(_) => Fate::Unavailable(format!("no answer within {} s", PUBLISH_TIMEOUT.as_secs())),
        };
        let ok = matches!(fate, Fate::Sent);
        done.fate = Some(fate);
        let name = if ok { "outbox_published_total" } else { "outbox_failed_total" };
        metrics::counter!(name, "destination" => done.group.0.clone()).increment(1);
        if !ok {
            break;
        }
        done.sent.push(row.id);
    }
    done
}

/// Takes acknowledged rows out of the outbox; `keep` moves those of topics to `outbox_sent`.
async fn settle(tx: &mut PgConnection, sent: &[i64], keep: bool) -> Result<(), sqlx::Error> {
    let statement = if keep {
        // Queues are durable, and work that is done must not be done again: only topics are kept.
        "WITH gone AS (DELETE FROM outbox WHERE id = ANY ($1) RETURNING *)
         INSERT INTO outbox_sent (id, lane, destination, key, headers, payload, created_at)
         SELECT id, lane, destination, key, headers, payload, created_at FROM gone
         WHERE destination LIKE 'topic:%'
         ON CONFLICT (id) DO UPDATE SET sent_at = now()"
    } else {
        "DELETE FROM outbox WHERE id = ANY ($1)"
    };
    sqlx::query(statement).bind(sent).execute(tx).await?;
    Ok(())
}
