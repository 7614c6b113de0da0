//! SQL: one function for each statement or transaction.

pub(crate) mod deliveries;
pub(crate) mod recipients;

use chassis::db;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

/// The commented migrations, in the order of their application.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Migrates the schema, including the tables of outbox and inbox. Safe to repeat.
pub(crate) async fn prepare(pool: &PgPool) -> sqlx::Result<()> {
    db::migrate(pool, &MIGRATIONS).await?;
    outbox::install(pool).await
}
