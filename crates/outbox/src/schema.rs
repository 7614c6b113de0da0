//! The tables and the functions, created or changed where they are older than this program.

use std::time::Duration;

use backoff::Backoff;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use crate::bounded::{ANSWER_TIMEOUT, give_back, within};

/// The advisory lock under which the tables are created, "outb" and -1 (lanes use the numbers from 0).
const INSTALL_LOCK: (i32, i32) = (crate::lane::LOCK_CLASS, -1);

/// What stands before the version in the comments of the table `outbox` and of the function `outbox_tell`.
const COMMENT: &str = "transactional outbox, version ";
/// The version of schema.sql. Higher with each change of the file.
const TABLES_VERSION: i32 = 3;
/// The version of function.sql. Higher with each change of the file.
const FUNCTION_VERSION: i32 = 9;
/// The function that has the version of its file, by its arguments: another version may have others.
const FUNCTION: &str = "outbox_tell(smallint[], text[], text[], jsonb[], bytea[])";
/// How often it is tried while others use the tables, and the pauses in between: first and longest.
const TRIES: u32 = 30;
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// PostgreSQL's `lock_not_available`, a lock was not to be had within `lock_timeout`; and `deadlock_detected`, which it finds first
/// where its `deadlock_timeout` is not the longer one.
const LOCKED: [&str; 2] = ["55P03", "40P01"];
/// The pause between two looks whether another program still installs.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How long a change of the tables or of the functions may take. It is one answer, so that one that is lost cannot be told from one
/// that is slow: far longer than the indexes of the largest backlog take, a second or two for a million rows.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(600);

/// How full the pages of the outbox are made, in percent: where a row is marked when it was sent, the mark fits in its page;
/// where it is deleted, room for a mark would only be more pages to read.
const FILL_MARKED: u8 = 45;
const FILL_DELETED: u8 = 100;

/// Creates the tables `outbox`, `outbox_sent` and `inbox` and the functions `outbox_tell`, `outbox_claim_as_stored` and three more in
/// the connection's default schema, or changes those of an older version. A newer version stays as it is.
///
/// Safe to call at every start, and from many replicas at once: two `CREATE … IF NOT EXISTS` at the
/// same time can collide in PostgreSQL's catalogue, so they take turns on an advisory lock. A change of tables that are in use
/// waits for a second at most, since those who write wait behind it; then it lets them go first and tries again.
///
/// Another program that installs is waited for without a limit, as long as the database answers.
///
/// # Errors
/// The database's; `55P03` if the tables were in use for about a minute; [`sqlx::Error::Io`] if an answer did not come in 30 s, or
/// that to a change in 10 minutes.
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
/// The database's, which is also one that it does not answer for 30 s.
pub async fn fit_pages(pool: &PgPool, replay_window: Duration) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let fitted = within(ANSWER_TIMEOUT, fit_on(&mut connection, replay_window)).await;
    give_back(connection, fitted)
}

async fn fit_on(connection: &mut PgConnection, replay_window: Duration) -> Result<(), sqlx::Error> {
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
    .fetch_one(&mut *connection)
    .await?;
    if fits {
        return Ok(());
    }
    // No parameter can stand there; it is one of two constants.
    let sql = format!("ALTER TABLE outbox SET ({wanted})");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

fn is_locked(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| LOCKED.contains(&&*code)),
        _ => false,
    }
}

async fn try_to_install(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let installed = install_on(&mut connection).await;
    give_back(connection, installed)
}

async fn install_on(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut tx = within(ANSWER_TIMEOUT, connection.begin()).await?;
    while !within(ANSWER_TIMEOUT, lock(&mut tx)).await? {
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    let (tables, function) = within(ANSWER_TIMEOUT, installed(&mut tx)).await?;
    // Even a `CREATE INDEX IF NOT EXISTS` that has nothing to do locks its table against writers, and a
    // running replica that writes to both tables in a transaction would meet it half-way: a deadlock.
    if tables < TABLES_VERSION {
        let sql = include_str!("schema.sql");
        let created = create(&mut tx, sql, "TABLE outbox", TABLES_VERSION);
        within(CHANGE_TIMEOUT, created).await?;
    }
    if function < FUNCTION_VERSION {
        let (sql, function) = (include_str!("function.sql"), format!("FUNCTION {FUNCTION}"));
        let created = create(&mut tx, sql, &function, FUNCTION_VERSION);
        within(CHANGE_TIMEOUT, created).await?;
    }
    within(ANSWER_TIMEOUT, tx.commit()).await
}

/// Takes the lock until the transaction ends; false if another program has it. Whoever waited in the statement could not tell that
/// the answer is lost.
async fn lock(tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1, $2)")
        .bind(INSTALL_LOCK.0)
        .bind(INSTALL_LOCK.1)
        .fetch_one(tx)
        .await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_meets_others_at_the_locks_tries_again() {
        let database = embedded::testing::fresh_database();
        let pool = PgPool::connect(&database.url).await.expect("a database");
        for (raise, is_tried_again) in [
            ("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$", true),
            ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", true),
            ("DO $$ BEGIN RAISE SQLSTATE '42501'; END $$", false),
        ] {
            let error = sqlx::raw_sql(raise).execute(&pool).await.expect_err(raise);
            assert_eq!(is_locked(&error), is_tried_again, "{raise}");
        }
    }
}
