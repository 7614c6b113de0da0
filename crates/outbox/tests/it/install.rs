//! A start beside replicas that are at work.

use std::time::Duration;

use outbox::inbox::{Receipt, accept};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::broker::PATIENCE;
use crate::fixture::{Service, eventually};
use crate::replay::VERSION_1;

/// Installs under a limit for waiting at locks: to wait for a writer is an error here, not a pause.
async fn install_without_waiting(service: &Service) -> Result<(), sqlx::Error> {
    let options: PgConnectOptions = service.url.parse().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.options([("lock_timeout", "100ms")]))
        .await
        .unwrap();
    outbox::install(&pool).await
}

/// A replica has written to both tables and not committed: DDL would wait for it, and deadlock with it
/// if it then touched the table that the DDL already holds. The functions, which older tables come without, are created
/// beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installing_waits_for_no_writer() {
    let service = Service::start().await;
    let mut inbox_first = service.pool.begin().await.unwrap();
    let mut outbox_first = service.pool.begin().await.unwrap();
    let new = accept(&mut inbox_first, "stock", Uuid::now_v7()).await;
    assert_eq!(new.unwrap(), Receipt::First);
    write(&mut outbox_first, "a").await;

    sqlx::raw_sql("DROP FUNCTION outbox_tell, outbox_claim")
        .execute(&service.pool)
        .await
        .unwrap();
    install_without_waiting(&service).await.unwrap();
    let are_there =
        "SELECT to_regproc('outbox_tell') IS NOT NULL AND to_regproc('outbox_claim') IS NOT NULL";
    let are_there: bool = sqlx::query_scalar(are_there)
        .fetch_one(&service.pool)
        .await
        .unwrap();
    assert!(are_there);

    // Each goes on to the table that the other began with.
    write(&mut inbox_first, "b").await;
    let new = accept(&mut outbox_first, "stock", Uuid::now_v7()).await;
    assert_eq!(new.unwrap(), Receipt::First);
    inbox_first.commit().await.unwrap();
    outbox_first.commit().await.unwrap();
}

/// Rows are deleted where the broker keeps what it has, so its pages need no room for a mark. Nobody waits for the change, and
/// nobody makes it wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_as_full_as_the_replay_window_wants_them() {
    let service = Service::start().await;
    let mut writer = service.pool.begin().await.unwrap();
    write(&mut writer, "a").await;
    for (window, wanted) in [
        (Duration::ZERO, "fillfactor=100"),
        (Duration::from_secs(1), "fillfactor=45"),
        (Duration::from_secs(1), "fillfactor=45"),
    ] {
        let fitted = outbox::fit_pages(&service.pool, window);
        let fitted = tokio::time::timeout(PATIENCE, fitted).await;
        fitted.expect("a turn").unwrap();
        let options: Vec<String> =
            sqlx::query_scalar("SELECT unnest(reloptions) FROM pg_class WHERE relname = 'outbox'")
                .fetch_all(&service.pool)
                .await
                .unwrap();
        assert!(options.iter().any(|option| option == wanted), "{options:?}");
    }
    writer.commit().await.unwrap();
}

/// Whether somebody waits for a lock in this database.
async fn somebody_waits(service: &Service) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    )
    .fetch_one(&service.pool)
    .await
    .unwrap()
}

/// The tables of version 1, and a change of them that is under way and waits for a lock that `holder` has.
async fn change_behind(
    service: &Service,
    holder: impl AsyncFnOnce(&mut PgConnection),
) -> (Transaction<'static, Postgres>, JoinHandle<sqlx::Result<()>>) {
    sqlx::raw_sql(VERSION_1)
        .execute(&service.pool)
        .await
        .unwrap();
    let mut held = service.pool.begin().await.unwrap();
    holder(&mut *held).await;
    let pool = service.pool.clone();
    let change = tokio::spawn(async move { outbox::install(&pool).await });
    eventually("the change to wait", || somebody_waits(service)).await;
    (held, change)
}

/// A deploy changes the tables while consumers of the version before are at work. They write to the inbox and then to the
/// outbox; a change that locks them the other way round would meet them half-way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_at_work_does_not_wait_for_a_change_of_the_tables() {
    let service = Service::start().await;
    let (mut consumer, change) = change_behind(&service, async |consumer| {
        let new = accept(consumer, "stock", Uuid::now_v7()).await;
        assert_eq!(new.unwrap(), Receipt::First);
    })
    .await;
    sqlx::raw_sql("SET LOCAL lock_timeout = '100ms'")
        .execute(&mut *consumer)
        .await
        .unwrap();
    write(&mut consumer, "a").await;
    consumer.commit().await.unwrap();
    change.await.unwrap().unwrap();
}

/// Who writes waits behind a change, but not for as long as that has to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_tables_lets_others_go_first() {
    let service = Service::start().await;
    let (long, change) = change_behind(&service, async |long| write(long, "a").await).await;
    let mut other = service.pool.begin().await.unwrap();
    let written = tokio::time::timeout(PATIENCE, write(&mut other, "b")).await;
    written.expect("a turn");
    other.commit().await.unwrap();
    assert!(!change.is_finished());
    long.commit().await.unwrap();
    change.await.unwrap().unwrap();
}

/// A row as a commit writes it, in a transaction that stays open.
async fn write(tx: &mut PgConnection, key: &str) {
    let row = sqlx::query(
        "INSERT INTO outbox (lane, destination, key, headers, payload) VALUES (0, 'topic:counts', $1, '[]', '')",
    );
    row.bind(key).execute(tx).await.unwrap();
}

const FUNCTION: &str = "outbox_tell(smallint[], text[], text[], jsonb[], bytea[])";

/// Puts a function of another version, one that does nothing, in the place of ours.
async fn replace_function(service: &Service, comment: &str) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION outbox_tell(
             of_lanes smallint[], of_destinations text[], of_keys text[], of_headers jsonb[], of_payloads bytea[]
         ) RETURNS boolean LANGUAGE sql AS 'SELECT false';
         COMMENT ON FUNCTION {FUNCTION} IS {comment}"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&service.pool)
        .await
        .unwrap();
}

/// Whether the function does nothing.
async fn does_nothing(service: &Service) -> bool {
    let source: String =
        sqlx::query_scalar("SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure($1)")
            .bind(FUNCTION)
            .fetch_one(&service.pool)
            .await
            .unwrap();
    source == "SELECT false"
}

/// A deploy brings a changed function to databases that have the one before; a replica of the version before that starts
/// again beside it leaves the new one alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_function_is_replaced_and_a_newer_one_is_not() {
    let service = Service::start().await;
    for (comment, stays) in [
        ("NULL", false),
        ("'transactional outbox, version 0'", false),
        ("'transactional outbox, version 1000000'", true),
    ] {
        replace_function(&service, comment).await;
        install_without_waiting(&service).await.unwrap();
        assert_eq!(does_nothing(&service).await, stays, "{comment}");
    }
    let tables: Option<String> =
        sqlx::query_scalar("SELECT obj_description('outbox'::regclass, 'pg_class')")
            .fetch_one(&service.pool)
            .await
            .unwrap();
    let tables = tables.unwrap();
    assert!(
        tables.starts_with("transactional outbox, version "),
        "{tables}"
    );
}
