//! SQL of the catalogue: one function for each statement.
//!
//! Reservations are in [`reservations`], what lanes hold of the stock in [`escrows`], prices in [`prices`].

pub(crate) mod escrows;
pub(crate) mod prices;
pub(crate) mod reservations;

use chassis::db;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row as _};
use uuid::Uuid;

use crate::domain::{Product, Search};

/// Numbered SQL files, applied in order at each start.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// The products of the demonstration shop. See [`seed`].
const SEED: &str = include_str!("../seed.sql");

/// Migrates the schema, including the tables of outbox and inbox, and adds the demonstration's products if `seeded`.
/// Safe to repeat, also while other replicas are running.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn prepare(pool: &PgPool, seeded: bool) -> Result<(), sqlx::Error> {
    db::migrate(pool, &MIGRATIONS).await?;
    outbox::install(pool).await?;
    if seeded {
        db::within(db::ANSWER_TIMEOUT, seed(pool)).await?;
    }
    Ok(())
}

/// Adds the demonstration's products that are missing.
///
/// An existing row is never changed, whatever it contains: a restart neither refills stock nor undoes a change of
/// price. It is not a migration, because a migration runs once and must not be changed afterwards, while products come
/// and go.
///
/// # Errors
/// Errors of the database.
async fn seed(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SEED).execute(pool).await?;
    Ok(())
}

/// The products that match, by ascending id, after `after`; at most `limit`.
///
/// By keyset, not by `OFFSET`: a page costs the same at any depth, and a product that is added in the meantime neither
/// repeats nor hides another. The id is used since it is the only column that never changes.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn page(
    pool: &PgPool,
    search: &Search,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Product>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price, currency, available
         FROM catalogue
         WHERE ($1::uuid IS NULL OR id > $1)
           AND ($2::text IS NULL OR name ILIKE $2 OR description ILIKE $2)
         ORDER BY id
         LIMIT $3",
    )
    .bind(after)
    .bind(search.like_pattern())
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// The product with this id.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn product(pool: &PgPool, id: Uuid) -> Result<Option<Product>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price, currency, available FROM catalogue WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// The products that exist among `ids`, in any order.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn products(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Product>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price, currency, available FROM catalogue WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
}

impl FromRow<'_, PgRow> for Product {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            price: row.try_get("price")?,
            currency: row.try_get("currency")?,
            available: row.try_get("available")?,
        })
    }
}
