//! What PostgreSQL counts for an order until its mail is sent: without a pause, and at half of that rate.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use super::super::row::Row;
use super::super::{Run, orders};
use super::failed;
use crate::failure::Failure;
use crate::load::Pace;

/// Statements are counted by an extension, which is loaded when the server starts.
const PRELOAD: &str = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
const EXTENSION: &str = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
const IS_THERE: &str =
    "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements')";
/// Of all databases but the one that is asked; commits are those of single statements, too, and WAL is everybody's.
const COUNTS: &str = "SELECT
     (SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
       WHERE dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())),
     (SELECT sum(xact_commit)::bigint FROM pg_stat_database WHERE datname <> current_database()),
     (pg_current_wal_insert_lsn() - '0/0')::bigint";
const DATABASES: &str = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate";
/// The least rate, of one order a second.
const LEAST: NonZeroU32 = NonZeroU32::MIN;

/// Statements, commits and bytes of WAL until a moment.
type Counts = (i64, i64, i64);

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    count_statements(run).await?;
    super::warm(run).await?;
    clean_up(run).await?;
    let time = run.sizes.counted;
    let whole = run.sizes.all_callers();
    let per_second = row(run, Row::Saturated, whole, time).await?;
    let half = NonZeroU32::new((per_second / 2.0) as u32).unwrap_or(LEAST);
    row(run, Row::HalfLoad, Pace::Open(half), time).await?;
    Ok(())
}

/// Makes the server count statements from now on, which needs a restart.
async fn count_statements(run: &mut Run) -> Result<(), Failure> {
    let mut database = connect(run, "postgres").await?;
    let is_there: bool = sqlx::query_scalar(IS_THERE)
        .fetch_one(&mut database)
        .await
        .map_err(failed)?;
    if !is_there {
        return Err(Failure::new(
            "this PostgreSQL comes without pg_stat_statements",
        ));
    }
    execute(&mut database, PRELOAD).await?;
    database.close().await.map_err(failed)?;
    run.restart().await?;
    let mut database = connect(run, "postgres").await?;
    execute(&mut database, EXTENSION).await?;
    database.close().await.map_err(failed)
}

/// Cleans up behind the stages before. PostgreSQL would do it while an order's log is counted, and log each page as a whole, since the
/// restart was a checkpoint.
async fn clean_up(run: &Run) -> Result<(), Failure> {
    let mut database = connect(run, "postgres").await?;
    let databases: Vec<String> = sqlx::query_scalar(DATABASES)
        .fetch_all(&mut database)
        .await
        .map_err(failed)?;
    database.close().await.map_err(failed)?;
    for name in databases {
        let mut database = connect(run, &name).await?;
        execute(&mut database, "VACUUM").await?;
        database.close().await.map_err(failed)?;
    }
    Ok(())
}

async fn connect(run: &Run, database: &str) -> Result<PgConnection, Failure> {
    let server = run.market.server(database)?;
    PgConnection::connect(&server).await.map_err(failed)
}

/// Measures a row at a pace; returns the reached orders a second.
async fn row(run: &mut Run, row: Row, pace: Pace, time: Duration) -> Result<f64, Failure> {
    let before = counts(run).await?;
    let placed = orders::place(&run.market, pace, time).await?;
    placed.all_mailed().await?;
    let after = counts(run).await?;
    let each = |before: i64, after: i64| (after - before) as f64 / placed.accepted as f64;
    let (statements, commits) = (each(before.0, after.0), each(before.1, after.1));
    let wal_bytes = each(before.2, after.2);
    if [statements, commits, wal_bytes]
        .iter()
        .any(|cost| *cost <= 0.0)
    {
        return Err(Failure::new("PostgreSQL has counted nothing"));
    }
    let per_second = placed.number("per_second");
    let text = format!(
        "{statements:.1}, {commits:.1}, {:.1} kB at {per_second:.0} /s",
        wal_bytes / 1e3
    );
    let values = json!({
        "statements": statements, "commits": commits, "wal_bytes": wal_bytes, "per_second": per_second,
    });
    run.figures.put(row, text, values);
    Ok(per_second)
}

/// The present counts, after the sessions have reported their statistics.
async fn counts(run: &Run) -> Result<Counts, Failure> {
    sleep(run.sizes.told).await;
    let mut database = connect(run, "postgres").await?;
    let counts: Counts = sqlx::query_as(COUNTS)
        .fetch_one(&mut database)
        .await
        .map_err(failed)?;
    database.close().await.map_err(failed)?;
    Ok(counts)
}

async fn execute(database: &mut PgConnection, statement: &'static str) -> Result<(), Failure> {
    let done = sqlx::raw_sql(statement).execute(database).await;
    done.map(drop).map_err(failed)
}
