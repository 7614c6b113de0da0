//! SQL: one function a statement or transaction.

pub(crate) mod deliveries;
pub(crate) mod recipients;

use chassis::db;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

/// The schema, commented, in the order in which it grew.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Brings the schema up to date, with the tables of outbox and inbox. Safe to repeat.
pub(crate) async fn prepare(pool: &PgPool) -> sqlx::Result<()> {
    db::migrate(pool, &MIGRATIONS).await?;
    outbox::install(pool).await
}
