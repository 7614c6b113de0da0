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
use uuid::Uuid;

use crate::failure::Failure;

/// The transaction of one accepted order.
const ORDER_SQL: &str = include_str!("order.pgbench.sql");
/// The most clients: servers accept 100 connections by default, some of which the shop uses.
const CLIENTS_MAX: u32 = 32;
/// Its threads.
const THREADS: &str = "2";
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

/// Deletes the rows that it has written.
async fn forget(orders: &str, user: Uuid) -> Result<(), Failure> {
    let cannot = |error: sqlx::Error| {
        Failure::new(format!(
            "what pgbench has written cannot be deleted: {error}"
        ))
    };
    let mut database = PgConnection::connect(orders).await.map_err(cannot)?;
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
}
