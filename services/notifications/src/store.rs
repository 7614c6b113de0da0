//! SQL: one function a statement or transaction.

pub(crate) mod deliveries;
pub(crate) mod recipients;

use sqlx::migrate::Migrator;

/// The schema, commented, in the order in which it grew.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!();
