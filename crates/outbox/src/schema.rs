//! The tables and the functions, created or changed where they are older than this program.

use std::time::Duration;

use backoff::Backoff;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

/// The advisory lock under which the tables are created, "outb" and -1 (lanes use the numbers from 0).
const INSTALL_LOCK: (i32, i32) = (crate::lane::LOCK_CLASS, -1);

/// What stands before the version in the comments of the table `outbox` and of the function `outbox_tell`.
const COMMENT: &str = "transactional outbox, version ";
/// The version of schema.sql. Higher with each change of the file.
const TABLES_VERSION: i32 = 2;
/// The version of function.sql. Higher with each change of the file.
const FUNCTION_VERSION: i32 = 3;
/// The function that has the version of its file, by its arguments: another version may have others.
const FUNCTION: &str = "outbox_tell(smallint[], text[], text[], jsonb[], bytea[])";
/// How often it is tried while others use the tables, and the pauses in between: first and longest.
const TRIES: u32 = 30;
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// PostgreSQL's `lock_not_available`: a lock was not to be had within `lock_timeout`.
const LOCKED: &str = "55P03";

/// How full the pages of the outbox are made, in percent: where a row is marked when it was sent, the mark fits in its page;
/// where it is deleted, room for a mark would only be more pages to read.
const FILL_MARKED: u8 = 45;
const FILL_DELETED: u8 = 100;

/// Creates the tables `outbox`, `outbox_sent` and `inbox` and the functions `outbox_tell` and `outbox_claim` in the connection's
/// default schema, or changes those of an older version. A newer version stays as it is.
///
/// Safe to call at every start, and from many replicas at once: two `CREATE … IF NOT EXISTS` at the
/// same time can collide in PostgreSQL's catalogue, so they take turns on an advisory lock. A change of tables that are in use
/// waits for a second at most, since those who write wait behind it; then it lets them go first and tries again.
///
/// # Errors
/// The database's; `55P03` if the tables were in use for about a minute.
pub async fn install(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
    for _ in 1..TRIES {
        match try_to_install(pool).await {
            Err(error) if is_locked(&error) => {
                tracing::debug!(%error, "the tables of the outbox are in use; trying again");
                tokio::time::sleep(pause.next()).await;
            }
            done => return done,
        }
    }
    try_to_install(pool).await
}

/// Makes the pages of the outbox as full as this [replay window](crate::RelayOptions::replay_window) wants them, from the next row
/// on; [`install`] makes them for a broker that forgets. `start_relay` does it for services on `chassis`. No writer waits for it.
///
/// # Errors
/// The database's.
pub async fn fit_pages(pool: &PgPool, replay_window: Duration) -> Result<(), sqlx::Error> {
    let fill = if replay_window.is_zero() {
        FILL_DELETED
    } else {
        FILL_MARKED
    };
    let wanted = format!("fillfactor={fill}");
    let fits: bool = sqlx::query_scalar(
        "SELECT COALESCE($1 = ANY (reloptions), false) FROM pg_class WHERE oid = to_regclass('outbox')",
    )
    .bind(&wanted)
    .fetch_one(pool)
    .await?;
    if fits {
        return Ok(());
    }
    // No parameter can stand there; it is one of two constants.
    let sql = format!("ALTER TABLE outbox SET ({wanted})");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await?;
    Ok(())
}

fn is_locked(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == LOCKED),
        _ => false,
    }
}

async fn try_to_install(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(INSTALL_LOCK.0)
        .bind(INSTALL_LOCK.1)
        .execute(&mut *tx)
        .await?;
    let (tables, function) = installed(&mut tx).await?;
    // Even a `CREATE INDEX IF NOT EXISTS` that has nothing to do locks its table against writers, and a
    // running replica that writes to both tables in a transaction would meet it half-way: a deadlock.
    if tables < TABLES_VERSION {
        let sql = include_str!("schema.sql");
        create(&mut tx, sql, "TABLE outbox", TABLES_VERSION).await?;
    }
    if function < FUNCTION_VERSION {
        let (sql, function) = (include_str!("function.sql"), format!("FUNCTION {FUNCTION}"));
        create(&mut tx, sql, &function, FUNCTION_VERSION).await?;
    }
    tx.commit().await
}

/// The versions of the tables and of the functions; 0 where there are none.
async fn installed(tx: &mut PgConnection) -> Result<(i32, i32), sqlx::Error> {
    // The last object that the first version of schema.sql made: where it is, all of them are.
    let (are_there, tables, function): (bool, Option<String>, Option<String>) = sqlx::query_as(
        "SELECT to_regclass('inbox_received_at') IS NOT NULL,
                obj_description(to_regclass('outbox'), 'pg_class'),
                obj_description(to_regprocedure($1), 'pg_proc')",
    )
    .bind(FUNCTION)
    .fetch_one(tx)
    .await?;
    let version = |comment: Option<String>| -> Option<i32> {
        comment.and_then(|comment| comment.strip_prefix(COMMENT)?.parse().ok())
    };
    // The first tables had no comment.
    let tables = version(tables).unwrap_or(i32::from(are_there));
    Ok((tables, version(function).unwrap_or(0)))
}

/// Runs a file, and notes its version at what it creates.
async fn create(
    tx: &mut PgConnection,
    sql: &'static str,
    what: &str,
    version: i32,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sql).execute(&mut *tx).await?;
    // Neither a name nor a comment can be a parameter; all of them are constants.
    let comment = format!("COMMENT ON {what} IS '{COMMENT}{version}'");
    sqlx::raw_sql(AssertSqlSafe(comment)).execute(tx).await?;
    Ok(())
}
