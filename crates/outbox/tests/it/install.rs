//! A start beside replicas that are at work.

use outbox::inbox::{Receipt, accept};
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use crate::fixture::Service;

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
/// if it then touched the table that the DDL already holds. The function, which older tables come without, is created
/// beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installing_waits_for_no_writer() {
    let service = Service::start().await;
    let mut inbox_first = service.pool.begin().await.unwrap();
    let mut outbox_first = service.pool.begin().await.unwrap();
    let new = accept(&mut inbox_first, "stock", Uuid::now_v7()).await;
    assert_eq!(new.unwrap(), Receipt::First);
    write(&mut outbox_first, "a").await;

    sqlx::raw_sql("DROP FUNCTION outbox_tell")
        .execute(&service.pool)
        .await
        .unwrap();
    install_without_waiting(&service).await.unwrap();
    let is_there: bool = sqlx::query_scalar("SELECT to_regproc('outbox_tell') IS NOT NULL")
        .fetch_one(&service.pool)
        .await
        .unwrap();
    assert!(is_there);

    // Each goes on to the table that the other began with.
    write(&mut inbox_first, "b").await;
    let new = accept(&mut outbox_first, "stock", Uuid::now_v7()).await;
    assert_eq!(new.unwrap(), Receipt::First);
    inbox_first.commit().await.unwrap();
    outbox_first.commit().await.unwrap();
}

/// A row as a commit writes it, in a transaction that stays open.
async fn write(tx: &mut PgConnection, key: &str) {
    let row = sqlx::query(
        "INSERT INTO outbox (lane, destination, key, headers, payload) VALUES (0, 'topic:counts', $1, '[]', '')",
    );
    row.bind(key).execute(tx).await.unwrap();
}
