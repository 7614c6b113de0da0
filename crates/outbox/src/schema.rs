//! The tables, and a function, created where they are missing.

use sqlx::PgPool;

/// The advisory lock under which the tables are created, "outb" and -1 (lanes use the numbers from 0).
const INSTALL_LOCK: (i32, i32) = (crate::lane::LOCK_CLASS, -1);

/// Creates the tables `outbox`, `outbox_sent` and `inbox` and the function `outbox_tell` in the connection's default schema.
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
    let (tables, function): (bool, bool) = sqlx::query_as(
        "SELECT to_regclass('inbox_received_at') IS NOT NULL, to_regproc('outbox_tell') IS NOT NULL",
    )
    .fetch_one(&mut *tx)
    .await?;
    let missing = [
        (!tables, include_str!("schema.sql")),
        (!function, include_str!("function.sql")),
    ];
    for (_, sql) in missing.into_iter().filter(|(is_missing, _)| *is_missing) {
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
    }
    tx.commit().await
}
