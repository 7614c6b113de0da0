//! pgbench beside the shop: the statement that places an order, sent by PostgreSQL's own load generator to the same database.
//!
//! It shows the machine's maximum if placing an order were nothing but its statement. Its rows affect nobody: a customer that
//! does not exist, and events in a lane that no relay reads. They are deleted afterwards.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use embedded::postgres::installed_directories;
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::failure::Failure;

/// The transaction of one accepted order.
const ORDER_SQL: &str = include_str!("order.pgbench.sql");
/// The most clients: servers accept 100 connections by default, some of which the shop uses.
const CLIENTS_MAX: u32 = 32;
/// Its threads.
const THREADS: &str = "2";
/// Whether it has sessions. Where it was ended, the server runs the statements that it has begun to their commits.
const IS_AT_WORK: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)";
/// How long its sessions may last after its end, and the pause between two looks.
const SESSIONS_END_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);
/// Deletes its rows, in this order. Lines are deleted with their orders.
const FORGET_EVENTS: &str = "DELETE FROM outbox WHERE lane = 1000";
const FORGET_CHANGES: &str =
    "DELETE FROM order_changes WHERE order_id IN (SELECT id FROM orders WHERE user_id = $1)";
const FORGET_ORDERS: &str = "DELETE FROM orders WHERE user_id = $1";

/// Runs it for this time on the database of orders, unless it is `stopped` before; returns its transactions a second.
///
/// # Errors
/// If there is no pgbench on this machine, or it fails, or is stopped.
pub(crate) async fn run(
    orders: &str,
    time: Duration,
    clients: u32,
    stopped: impl Future<Output = ()>,
) -> Result<f64, Failure> {
    let program = find()?;
    let user = Uuid::new_v4();
    let outcome = tokio::select! {
        outcome = measure(program, orders, user, time, clients) => outcome,
        () = stopped => Err(Failure::new("pgbench was stopped")),
    };
    // Also after a failure, before which it may have written rows.
    forget(orders, user).await?;
    outcome
}

async fn measure(
    program: PathBuf,
    orders: &str,
    user: Uuid,
    time: Duration,
    clients: u32,
) -> Result<f64, Failure> {
    let cannot = |why: String| Failure::new(format!("pgbench cannot be run: {why}"));
    let sql = ORDER_SQL
        .replace("USER_ID", &user.to_string())
        .replace("PRODUCT_ID", &Uuid::new_v4().to_string());
    let mut script = tempfile::NamedTempFile::new().map_err(|error| cannot(error.to_string()))?;
    script
        .write_all(sql.as_bytes())
        .map_err(|error| cannot(error.to_string()))?;
    let (seconds, clients) = (time.as_secs().max(1), clients.clamp(1, CLIENTS_MAX));
    let output = Command::new(program)
        .args(["-n", "-M", "prepared", "-j", THREADS])
        .args(["-T", &seconds.to_string(), "-c", &clients.to_string()])
        .arg("-f")
        .arg(script.path())
        // The URL contains the password, and every user can read a command line.
        .env("PGDATABASE", orders)
        .env("PGAPPNAME", session(user))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| cannot(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    per_second(&said).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        cannot(
            errors
                .lines()
                .last()
                .unwrap_or("it says nothing")
                .to_owned(),
        )
    })
}

/// The name of its sessions.
fn session(user: Uuid) -> String {
    format!("pgbench {user}")
}

/// Deletes the rows that it has written, once it can write no more.
async fn forget(orders: &str, user: Uuid) -> Result<(), Failure> {
    let cannot = |error: sqlx::Error| {
        Failure::new(format!(
            "what pgbench has written cannot be deleted: {error}"
        ))
    };
    let mut database = PgConnection::connect(orders).await.map_err(cannot)?;
    if !has_ended(&mut database, user).await.map_err(cannot)? {
        return Err(Failure::new(
            "what pgbench has written cannot be deleted: its sessions do not end",
        ));
    }
    sqlx::query(FORGET_EVENTS)
        .execute(&mut database)
        .await
        .map_err(cannot)?;
    for statement in [FORGET_CHANGES, FORGET_ORDERS] {
        sqlx::query(statement)
            .bind(user)
            .execute(&mut database)
            .await
            .map_err(cannot)?;
    }
    database.close().await.map_err(cannot)
}

/// Waits until it has no session any more; false if that takes too long.
async fn has_ended(database: &mut PgConnection, user: Uuid) -> sqlx::Result<bool> {
    let (name, begun) = (session(user), Instant::now());
    loop {
        let is_at_work: bool = sqlx::query_scalar(IS_AT_WORK)
            .bind(&name)
            .fetch_one(&mut *database)
            .await?;
        if !is_at_work || begun.elapsed() > SESSIONS_END_MAX {
            return Ok(!is_at_work);
        }
        sleep(LOOK).await;
    }
}

/// The figure in its output; `None` if no transaction succeeded.
fn per_second(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    let number = line.split_whitespace().next()?.parse::<f64>().ok()?;
    (number > 0.0).then_some(number)
}

/// Finds the program.
///
/// # Errors
/// If it is not on this machine.
pub(super) fn find() -> Result<PathBuf, Failure> {
    let all = installed_directories().into_iter();
    // In a directory without `postgres`, pgbench is a wrapper script that selects a server by itself.
    let servers = all.filter(|directory| directory.join("postgres").is_file());
    let mut programs = servers.map(|directory| directory.join("pgbench"));
    programs.find(|program| program.is_file()).ok_or_else(|| {
        Failure::new("there is no pgbench on this machine; it comes with PostgreSQL's server")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_figure_is_read() {
        let said = "number of failed transactions: 0 (0.000%)\nlatency average = 11.1 ms\n\
            tps = 2889.401293 (without initial connection time)\n";
        assert_eq!(per_second(said), Some(2_889.401_293));
        for nothing in ["", "tps = 0.000000 (without)", "tps = many"] {
            assert_eq!(per_second(nothing), None, "{nothing}");
        }
    }

    /// A statement that its end has met is committed all the same, after it.
    #[tokio::test]
    async fn what_it_writes_after_its_end_is_deleted_too() {
        const TABLES: &str = "CREATE TABLE outbox (lane smallint);
             CREATE TABLE orders (id uuid, user_id uuid); CREATE TABLE order_changes (order_id uuid)";
        const HAS_LOOKED: &str = "SELECT EXISTS (
             SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = $1)";
        let database = embedded::testing::fresh_database();
        let connect = async || {
            PgConnection::connect(&database.url)
                .await
                .expect("a session")
        };
        let (mut watch, mut at_work) = (connect().await, connect().await);
        let tables = sqlx::raw_sql(TABLES).execute(&mut watch).await;
        tables.expect("tables");
        let user = Uuid::new_v4();
        let named = sqlx::query("SELECT set_config('application_name', $1, false)");
        let named = named.bind(session(user)).execute(&mut at_work).await;
        named.expect("a name");

        let forgotten = forget(&database.url, user);
        tokio::pin!(forgotten);
        let looked = async {
            loop {
                let looked = sqlx::query_scalar(HAS_LOOKED).bind(IS_AT_WORK);
                let looked: bool = looked.fetch_one(&mut watch).await.expect("an answer");
                if looked {
                    return;
                }
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            ended = &mut forgotten => panic!("it did not wait: {ended:?}"),
            () = looked => {}
        }
        let written = sqlx::raw_sql("INSERT INTO outbox VALUES (1000)");
        written.execute(&mut at_work).await.expect("a row");
        at_work.close().await.expect("its end");
        forgotten.await.expect("no rows");
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(&mut watch)
            .await
            .expect("a count");
        assert_eq!(left, 0);
    }
}
