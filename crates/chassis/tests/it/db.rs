//! PostgreSQL that is not there yet, goes away and comes back.

use std::borrow::Cow;
use std::time::Duration;

use chassis::health::{Dependency, Health, State};
use chassis::{Fatal, Shutdown, db};
use embedded::testing::Link;
use sqlx::PgPool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, connected, eventually, in_time, log};

fn migrator(statements: &[&'static str]) -> Migrator {
    let migrations = statements.iter().enumerate().map(|(index, sql)| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(
            index as i64 + 1,
            Cow::Borrowed("test"),
            MigrationType::Simple,
            sql,
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

/// A database behind a link.
async fn linked(whole: bool) -> (PgPool, Link) {
    let database = embedded::testing::fresh_database();
    let (link, url) = Link::to_database(&database.url).await;
    let pool = db::connect(&url, 5, "test").unwrap();
    match whole {
        true => connected(&pool, 5).await,
        false => link.cut(),
    }
    (pool, link)
}

/// What every service does first.
async fn migrated(
    pool: &PgPool,
    migrator: &Migrator,
    dependency: &Dependency,
    shutdown: &Shutdown,
) -> Result<(), Fatal> {
    db::until_available(dependency, shutdown, db::is_unavailable, || {
        db::migrate(pool, migrator)
    })
    .await
}

#[tokio::test]
async fn it_waits_for_the_database_and_then_migrates() {
    log::init();
    let (pool, link) = linked(false).await;
    let health = Health::new("waits-4821");
    let dependency = health.dependency("database");
    let migrator = migrator(&["CREATE TABLE things (id bigint)"]);
    let shutdown = Shutdown::manual();
    let (waiting, reported) = (pool.clone(), dependency.clone());
    let wait =
        tokio::spawn(async move { migrated(&waiting, &migrator, &reported, &shutdown).await });
    eventually("it is reported", || async {
        dependency.state() == State::Down
    })
    .await;
    eventually("it has tried several times", || async {
        link.attempts() >= 4
    })
    .await;
    assert!(!wait.is_finished());
    link.mend();
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it goes on")
        .unwrap()
        .unwrap();
    assert_eq!(dependency.state(), State::Up);
    assert_eq!(
        sqlx::query("SELECT * FROM things")
            .fetch_all(&pool)
            .await
            .unwrap()
            .len(),
        0
    );
    let lines = log::lines_with("waits-4821");
    let levels: Vec<_> = lines
        .iter()
        .map(|line| line["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels, ["WARN", "INFO"], "one line a change: {lines:?}");
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let (pool, _link) = linked(true).await;
    // The second run of this would fail.
    let migrator = migrator(&["SELECT pg_sleep(0.1)", "CREATE TABLE things (id bigint)"]);
    let runs = (0..5).map(|_| db::migrate(&pool, &migrator));
    for run in futures::future::join_all(runs).await {
        run.unwrap();
    }
}

/// A deploy is under way, or was taken back: the schema is ahead of an instance that starts.
#[tokio::test]
async fn an_instance_of_the_version_before_starts_with_a_newer_schema() {
    const OLD: &str = "CREATE TABLE things (id bigint)";
    let (pool, _link) = linked(true).await;
    let newer = migrator(&[OLD, "ALTER TABLE things ADD COLUMN name text"]);
    db::migrate(&pool, &newer).await.unwrap();
    db::migrate(&pool, &migrator(&[OLD])).await.unwrap();
    // What it knows has to be what was applied.
    let changed = migrator(&["CREATE TABLE things (id integer)"]);
    let refused = db::migrate(&pool, &changed).await;
    assert!(
        matches!(refused, Err(sqlx::Error::Migrate(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_migration_that_cannot_work_ends_the_start() {
    let (pool, _link) = linked(true).await;
    let (health, shutdown) = (Health::new("test"), Shutdown::manual());
    let broken = migrator(&["CREATE TABLE things (id nonsense)"]);
    let dependency = health.dependency("database");
    let run = migrated(&pool, &broken, &dependency, &shutdown);
    let fatal = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("no waiting")
        .unwrap_err()
        .to_string();
    assert!(
        fatal.starts_with("preparing database: ") && fatal.contains("nonsense"),
        "{fatal}"
    );
    assert_eq!(fatal.lines().count(), 1);
}

#[tokio::test]
async fn a_shutdown_ends_the_wait() {
    let (pool, _link) = linked(false).await;
    let (health, shutdown) = (Health::new("test"), Shutdown::manual());
    let stop = shutdown.clone();
    let dependency = health.dependency("database");
    let reported = dependency.clone();
    let wait =
        tokio::spawn(async move { migrated(&pool, &migrator(&[]), &reported, &shutdown).await });
    eventually("it waits", || async { dependency.state() == State::Down }).await;
    stop.trigger();
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_exhausted_pool_is_told_of_before_a_caller_gives_up() {
    /// An attempt of the gateway.
    const ATTEMPT: Duration = Duration::from_secs(3);
    let database = embedded::testing::fresh_database();
    let pool = db::connect(&database.url, 1, "test").unwrap();
    let _held = pool.acquire().await.unwrap();
    let error = in_time(sqlx::query("SELECT 1").execute(&pool)).await;
    let error = error.unwrap_err();
    assert!(db::is_unavailable(&error), "{error:?}");
    // By the pool's own limit: what a busy machine adds to it says nothing.
    assert!(pool.options().get_acquire_timeout() < ATTEMPT);
}

#[tokio::test]
async fn a_broken_link_is_noticed_and_so_is_its_repair() {
    let (pool, link) = linked(true).await;
    let (health, shutdown) = (Health::new("test"), Shutdown::manual());
    let dependency = health.dependency("database");
    let watch = tokio::spawn(db::watch(
        pool.clone(),
        dependency.clone(),
        shutdown.clone(),
    ));
    eventually("up", || async { dependency.state() == State::Up }).await;
    link.cut();
    eventually("down", || async { dependency.state() == State::Down }).await;
    let error = in_time(sqlx::query("SELECT 1").execute(&pool)).await;
    let error = error.unwrap_err();
    assert!(db::is_unavailable(&error), "{error:?}");
    link.mend();
    eventually("up again", || async { dependency.state() == State::Up }).await;
    eventually("it works", || async {
        sqlx::query("SELECT 1").execute(&pool).await.is_ok()
    })
    .await;
    shutdown.trigger();
    watch.await.unwrap();
}

#[tokio::test]
async fn connections_that_died_while_idle_fail_nobody() {
    let (pool, link) = linked(true).await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(pool.acquire().await.unwrap());
    }
    drop(connections);
    eventually("all are idle", || async { pool.num_idle() == 5 }).await;
    link.cut();
    link.mend();
    // The time itself is the subject: the pool asks connections that were idle for a second, by a clock
    // that cannot be paused (`std::time::Instant`).
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..5 {
        sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    }
}

/// A table that is too large for it would grow for ever, while readiness says that all is well.
#[tokio::test]
async fn a_purge_that_takes_too_long_is_told_and_an_outage_is_not() {
    log::init();
    let (pool, _link) = linked(true).await;
    // Each ends in its first round.
    let over = CancellationToken::new();
    let slow = || async {
        let statement = "DO $$ BEGIN RAISE query_canceled; END $$";
        let done = sqlx::query(statement).execute(&pool).await;
        over.cancel();
        done.map(|done| done.rows_affected())
    };
    db::purge_regularly("rows-3390", &over, slow).await;
    let over = CancellationToken::new();
    let away = || async {
        over.cancel();
        Err::<u64, _>(sqlx::Error::PoolTimedOut)
    };
    db::purge_regularly("rows-3390", &over, away).await;
    let over = CancellationToken::new();
    let hangs = || async {
        over.cancel();
        std::future::pending::<sqlx::Result<u64>>().await
    };
    in_time(db::purge_regularly("rows-3390", &over, hangs)).await;
    let lines = log::lines_with("rows-3390");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "WARN");
}

#[tokio::test]
async fn statements_have_a_limit_and_connections_a_name() {
    let (pool, _link) = linked(true).await;
    let (timeout, name): (String, String) = sqlx::query_as(
        "SELECT current_setting('statement_timeout'), current_setting('application_name')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((timeout.as_str(), name.as_str()), ("10s", "test"));
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("SET statement_timeout = 50")
        .execute(&mut *connection)
        .await
        .unwrap();
    let error = sqlx::query("SELECT pg_sleep(10)")
        .execute(&mut *connection)
        .await
        .unwrap_err();
    assert!(
        db::is_unavailable(&error),
        "a statement that took too long may work later: {error:?}"
    );
    let error = sqlx::query("DO $$ BEGIN RAISE read_only_sql_transaction; END $$")
        .execute(&pool)
        .await
        .unwrap_err();
    assert!(
        db::is_unavailable(&error),
        "a standby may be the primary soon: {error:?}"
    );
    let error = sqlx::query("SELECT nonsense")
        .execute(&pool)
        .await
        .unwrap_err();
    assert!(!db::is_unavailable(&error));
    for refused in [
        "SELECT 'x'::int",
        "DO $$ BEGIN RAISE unique_violation; END $$",
    ] {
        let error = sqlx::query(refused).execute(&pool).await.unwrap_err();
        assert!(!db::is_unavailable(&error), "{error:?}");
    }
    let error = db::connect("postgres://user:hunter2@[", 1, "test")
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
