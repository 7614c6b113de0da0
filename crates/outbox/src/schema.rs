//! The tables, created where they are missing.

use sqlx::PgPool;

/// The advisory lock under which the tables are created, "outb" and -1 (lanes use the numbers from 0).
const INSTALL_LOCK: (i32, i32) = (crate::lane::LOCK_CLASS, -1);

/// Creates the tables `outbox`, `outbox_sent` and `inbox` in the connection's default schema.
///
/// Safe to call at every start, and from many replicas at once: two `CREATE … IF NOT EXISTS` at the
/// same time can collide in PostgreSQL's catalogue, so they take turns on an advisory lock.
///
/// # Errors
/// The database's.
pub async fn install(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(INSTALL_LOCK.0)
        .bind(INSTALL_LOCK.1)
        .execute(&mut *tx)
        .await?;
    // Even a `CREATE INDEX IF NOT EXISTS` that has nothing to do locks its table against writers, and a
    // running replica that writes to both tables in a transaction would meet it half-way: a deadlock.
    // The index is the last object of schema.sql: where it is, all of them are.
    let complete: bool = sqlx::query_scalar("SELECT to_regclass('inbox_received_at') IS NOT NULL")
        .fetch_one(&mut *tx)
        .await?;
    if complete {
        return tx.rollback().await;
    }
    sqlx::raw_sql(include_str!("schema.sql"))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
