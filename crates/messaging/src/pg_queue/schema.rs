//! The tables, created or changed where they are older than this program.

use std::time::Duration;

use backoff::Backoff;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use super::answer::{ANSWER_TIMEOUT, is_late, within};

/// Serialises installers: `IF NOT EXISTS` alone fails when two create the same table at once.
const INSTALL_LOCK: i64 = 0x6d71_5f71_7565_7565; // "mq_queue"
/// How often it is tried while others use the tables, and the pauses in between: first and longest.
const TRIES: u32 = 30;
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// PostgreSQL's `lock_not_available`, a lock was not to be had within `lock_timeout`; and `deadlock_detected`, which it finds first
/// where its `deadlock_timeout` is not the longer one.
const LOCKED: [&str; 2] = ["55P03", "40P01"];
/// The pause between two looks whether another program still installs.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How long a change of the tables may take. It is one answer, so that one that is lost cannot be told from one that is slow: far
/// longer than the index of the largest backlog takes, a second or two for a million rows.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(600);

/// What stands before the version in the comment of the table `mq_message`.
const COMMENT: &str = "work queue, schema ";
/// The version of schema.sql. Higher with each change of the file.
const VERSION: i32 = 3;

/// Creates or changes the tables where they are older than this program, and leaves them alone where they are not: DDL
/// that has nothing to do locks its table all the same, and would wait for the writers of other replicas.
///
/// A change of tables that are in use waits for half a second at most, since those who write wait behind it; then it lets them go
/// first and tries again. Another program that installs is waited for without a limit, as long as the database answers. An answer is
/// waited for [`ANSWER_TIMEOUT`], that to a change [`CHANGE_TIMEOUT`].
pub(super) async fn install(pool: &PgPool) -> sqlx::Result<()> {
    let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
    for _ in 1..TRIES {
        match try_to_install(pool).await {
            Err(error) if is_locked(&error) => {
                tracing::debug!(%error, "the tables of the queue are in use; trying again");
                tokio::time::sleep(pause.next()).await;
            }
            done => return done,
        }
    }
    try_to_install(pool).await
}

fn is_locked(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| LOCKED.contains(&&*code)),
        _ => false,
    }
}

async fn try_to_install(pool: &PgPool) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let installed = install_on(&mut connection).await;
    if installed.as_ref().is_err_and(is_late) {
        // The pool would wait for the answer before it lends the connection again, and keep its place occupied.
        connection.close_on_drop();
    }
    installed
}

async fn install_on(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut tx = within(ANSWER_TIMEOUT, connection.begin()).await?;
    while !within(ANSWER_TIMEOUT, lock(&mut tx)).await? {
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    if within(ANSWER_TIMEOUT, installed(&mut tx)).await? < VERSION {
        within(CHANGE_TIMEOUT, create(&mut tx)).await?;
    }
    within(ANSWER_TIMEOUT, tx.commit()).await
}

/// Takes the lock until the transaction ends; false if another program has it. Whoever waited in the statement could not tell that
/// the answer is lost.
async fn lock(tx: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(INSTALL_LOCK)
        .fetch_one(tx)
        .await
}

/// The version of the tables; 0 where there are none, or those of the first version, which said nothing of itself.
async fn installed(tx: &mut PgConnection) -> sqlx::Result<i32> {
    let comment: Option<String> =
        sqlx::query_scalar("SELECT obj_description(to_regclass('mq_message'), 'pg_class')")
            .fetch_one(tx)
            .await?;
    let version: Option<i32> =
        comment.and_then(|comment| comment.strip_prefix(COMMENT)?.parse().ok());
    Ok(version.unwrap_or(0))
}

async fn create(tx: &mut PgConnection) -> sqlx::Result<()> {
    // `IF NOT EXISTS` is worth a notice to PostgreSQL; it would be a log line at each start. An index of many messages takes longer
    // than a request may.
    let settings = "SET LOCAL client_min_messages = warning;
        SET LOCAL statement_timeout = 0;
        SET LOCAL lock_timeout = '500ms'";
    sqlx::raw_sql(settings).execute(&mut *tx).await?;
    sqlx::raw_sql(include_str!("schema.sql"))
        .execute(&mut *tx)
        .await?;
    // Neither a table's name nor its comment can be a parameter; both are constants.
    let comment = format!("COMMENT ON TABLE mq_message IS '{COMMENT}{VERSION}'");
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
