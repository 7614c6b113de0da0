//! The catalogue in the database: one function a statement.
//!
//! Reservations are next door, in [`reservations`].

pub(crate) mod reservations;

use chassis::db;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row as _};
use uuid::Uuid;

use crate::domain::{Price, Product, Search};

/// Numbered SQL files, applied in order at each start.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// The goods of the demonstration shop. See [`seed`].
const SEED: &str = include_str!("../seed.sql");

/// Brings the schema up to date, with the tables of outbox and inbox, and puts the demonstration's goods on the shelf
/// if `seeded`. Safe to repeat, and beside replicas that are at work.
///
/// # Errors
/// The database's.
pub(crate) async fn prepare(pool: &PgPool, seeded: bool) -> Result<(), sqlx::Error> {
    db::migrate(pool, &MIGRATIONS).await?;
    outbox::install(pool).await?;
    if seeded { seed(pool).await } else { Ok(()) }
}

/// Puts the demonstration's goods on the shelf where they are missing.
///
/// A row that exists is left alone, whatever it holds: a restart never fills stock up again, and never
/// undoes a price. It is not a migration, because a migration runs once and is frozen from then on,
/// while goods come and go.
///
/// # Errors
/// The database's.
async fn seed(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SEED).execute(pool).await?;
    Ok(())
}

/// Products that match, by ascending id, behind `after`; at most `limit`.
///
/// By keyset, not by `OFFSET`: a page costs the same however deep it is, and a product that appears
/// meanwhile neither repeats nor hides another. The id is the one column that never changes.
///
/// # Errors
/// The database's.
pub(crate) async fn page(
    pool: &PgPool,
    search: &Search,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Product>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price, currency, available
         FROM products
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

/// One product.
///
/// # Errors
/// The database's.
pub(crate) async fn product(pool: &PgPool, id: Uuid) -> Result<Option<Product>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price, currency, available FROM products WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// The products that exist among `ids`, in any order.
///
/// # Errors
/// The database's.
pub(crate) async fn products(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Product>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, description, price, currency, available FROM products WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
}

/// The prices of those that exist among `ids`, in any order: one statement, however many.
///
/// # Errors
/// The database's.
pub(crate) async fn prices(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Price>, sqlx::Error> {
    sqlx::query_as("SELECT id, price, currency FROM products WHERE id = ANY($1)")
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

impl FromRow<'_, PgRow> for Price {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            product_id: row.try_get("id")?,
            unit_price: row.try_get("price")?,
            currency: row.try_get("currency")?,
        })
    }
}
