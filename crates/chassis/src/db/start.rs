//! Preparation of the database, or of another engine, before a service can work.

use std::time::Duration;

use backoff::Backoff;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection, PgPool};

use super::{ACQUIRE_TIMEOUT, ANSWER_TIMEOUT, abandoned, at_work, reason, within};
use crate::health::Dependency;
use crate::{Fatal, Shutdown};

/// The pauses between attempts to reach an engine: first and longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Repeats `attempt` until it succeeds, as long as the engine that it needs is unreachable: the parts of a system can
/// be started in any order, and an engine may become unreachable during a start.
///
/// `is_unavailable` recognises transient errors ([`is_unavailable`](super::is_unavailable) for sqlx's own). They are
/// reported to `dependency`, which logs an outage once. An attempt may be repeated after it was partly done, so all of
/// its steps must be idempotent. It has no limit here, so each step must give up an engine that does not answer
/// ([`within`]).
///
/// Returns `Ok` also if the shutdown begins first.
///
/// # Errors
/// The first error that waiting cannot repair, e.g. a migration that fails or a user that is refused.
pub async fn until_available<E, F>(
    dependency: &Dependency,
    shutdown: &Shutdown,
    is_unavailable: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<(), Fatal>
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>>,
{
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        let attempted = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            attempted = attempt() => attempted,
        };
        match attempted {
            Ok(()) => {
                dependency.up();
                return Ok(());
            }
            Err(error) if is_unavailable(&error) => dependency.down(reason(&error)),
            Err(error) => {
                let doing = format!("preparing {}", dependency.name());
                return Err(Fatal::from(error).context(doing));
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

/// What the session of a migration has that others have not. It may take longer than a request. And the database has to notice
/// soon, here in a minute and a quarter, that the host of an instance is gone without a word: its session would keep the lock, and
/// all others from starting, for the two hours after which an operating system asks by default.
const SESSION: [(&str, &str); 3] = [
    ("statement_timeout", "0"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "5"),
];

/// Migrates the schema under sqlx's own advisory lock, since several replicas may start at once.
///
/// Migrations of a newer version that were applied already are left alone: while a deploy is under way, and after one that is
/// taken back, instances of the version before start as well.
///
/// There is no limit for the wait for another replica that migrates, nor for a migration, as long as the database works on it. If
/// it is not seen at that for [`ANSWER_TIMEOUT`], the connection is given up; that counts as an outage, and can be tried again.
/// It is asked for that by another connection: `pool` must have one free.
///
/// # Errors
/// Errors of the database; [`sqlx::Error::Migrate`] for a migration that was changed after it ran.
pub async fn migrate(pool: &PgPool, migrator: &Migrator) -> Result<(), sqlx::Error> {
    // A separate connection, closed afterwards: the lock belongs to the session, and must be released with it even if
    // this future is dropped half-way.
    let options = (*pool.connect_options()).clone().options(SESSION);
    let connect = PgConnection::connect_with(&options);
    let mut connection = match tokio::time::timeout(ACQUIRE_TIMEOUT, connect).await {
        Ok(connected) => connected?,
        Err(_) => return Err(sqlx::Error::PoolTimedOut),
    };
    let session = within(ANSWER_TIMEOUT, prepare(&mut connection)).await?;
    let work = migrate_on(connection, migrator);
    at_work::while_at_work(pool, session, ANSWER_TIMEOUT, work).await
}

/// Has the database notice soon that this process is killed: the statement of its migration would go on, with its locks and sqlx's,
/// and all others would wait for it to end before it is rolled back. Returns the session's number.
async fn prepare(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    abandoned::watch_client(connection).await?;
    at_work::session(connection).await
}

async fn migrate_on(mut connection: PgConnection, migrator: &Migrator) -> Result<(), sqlx::Error> {
    let mut known = Migrator::with_migrations(migrator.iter().cloned().collect());
    known
        .set_ignore_missing(true)
        // Not `run`, which accepts anything that provides a connection: the compiler cannot prove its future to be
        // `Send`, so that no service could be spawned.
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::Execute(error) => error,
            error => sqlx::Error::Migrate(Box::new(error)),
        })?;
    connection.close().await
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use embedded::testing::Link;
    use sqlx::migrate::{Migration, MigrationType};

    use super::*;
    use crate::db::{connect, is_unavailable};

    fn migrator(sql: &'static str) -> Migrator {
        let (name, sql) = (Cow::Borrowed("test"), sqlx::SqlStr::from_static(sql));
        let migration = Migration::new(1, name, MigrationType::Simple, sql, false);
        Migrator::with_migrations(vec![migration])
    }

    async fn sleeps(pool: &PgPool) -> bool {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event = 'PgSleep')",
        )
        .fetch_one(pool)
        .await
        .expect("an answer")
    }

    /// Its host is gone without a word, in the middle of a migration: nothing ends the connection, and no answer comes.
    #[tokio::test]
    async fn a_database_that_falls_silent_is_given_up() {
        let database = embedded::testing::fresh_database();
        let (link, url) = Link::to_database(&database.url).await;
        let pool = connect(&url, 2, "test").expect("a pool");
        let direct = PgPool::connect(&database.url).await.expect("a database");
        let starting = pool.clone();
        let migrating = tokio::spawn(async move {
            let long = migrator("SELECT pg_sleep(60)");
            migrate(&starting, &long).await
        });
        while !sleeps(&direct).await {
            assert!(!migrating.is_finished());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        link.silence();
        // From here on only time passes, and on this clock at once.
        tokio::time::pause();
        let migrated = tokio::time::timeout(10 * ANSWER_TIMEOUT, migrating).await;
        let given_up = migrated.expect("an end").expect("no panic");
        let error = given_up.expect_err("no answer");
        assert!(is_unavailable(&error), "{error:?}");

        // It accepts whoever starts now, and says nothing.
        let again = migrator("SELECT 1");
        let migrated = tokio::time::timeout(10 * ANSWER_TIMEOUT, migrate(&pool, &again)).await;
        let given_up = migrated.expect("an end");
        let error = given_up.expect_err("no connection");
        assert!(is_unavailable(&error), "{error:?}");

        // The database has seen the first connection end, as it does when a process is killed: so has its statement, long before
        // its time.
        tokio::time::resume();
        let ended = async {
            while sleeps(&direct).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        ended.expect("an end of the statement");
    }

    /// Else its lock would outlive an instance whose host is gone without a word.
    #[tokio::test]
    async fn the_database_looks_after_the_host_of_who_migrates() {
        let database = embedded::testing::fresh_database();
        let (_link, url) = Link::to_database(&database.url).await;
        let pool = connect(&url, 2, "test").expect("a pool");
        let noted = migrator(
            "CREATE TABLE noted AS SELECT current_setting('tcp_keepalives_idle') AS seconds",
        );
        migrate(&pool, &noted).await.expect("a migration");
        let seconds: String = sqlx::query_scalar("SELECT seconds FROM noted")
            .fetch_one(&pool)
            .await
            .expect("a row");
        assert_eq!(seconds, "30");
    }
}
