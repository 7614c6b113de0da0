//! SQL of the accounts: one function for each statement.

use chrono::{DateTime, Utc};
use contracts::identity::REALM;
use sqlx::{FromRow, PgConnection, PgPool, migrate::Migrator};
use uuid::Uuid;

use crate::domain::{Credentials, Email, Name, User};

/// The migrations, applied at the start.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!();

/// The unique index of emails, as PostgreSQL names it in its error.
const UNIQUE_EMAIL: &str = "users_email_key";

#[derive(FromRow)]
struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    created_at: DateTime<Utc>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            created_at: row.created_at,
        }
    }
}

/// Adds a customer; `None` if the email is taken.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    id: Uuid,
    email: &Email,
    name: &Name,
    password_hash: &str,
) -> Result<Option<User>, sqlx::Error> {
    let inserted: Result<UserRow, _> = sqlx::query_as(
        "INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $3, $4)
         RETURNING id, email, name, created_at",
    )
    .bind(id)
    .bind(email.as_str())
    .bind(name.as_str())
    .bind(password_hash)
    .fetch_one(tx)
    .await;
    match inserted {
        Ok(row) => Ok(Some(row.into())),
        // Not ON CONFLICT DO NOTHING, which would hide a conflict of any other index as well.
        Err(sqlx::Error::Database(error)) if error.constraint() == Some(UNIQUE_EMAIL) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds an admin, or makes the account with this email an admin with this password. Returns `true` for a new account.
pub(crate) async fn upsert_admin(
    tx: &mut PgConnection,
    id: Uuid,
    email: &Email,
    name: &str,
    password_hash: &str,
) -> Result<(User, bool), sqlx::Error> {
    let row: UserRow = sqlx::query_as(
        "INSERT INTO users (id, email, name, password_hash, role) VALUES ($1, $2, $3, $4, 'admin')
         ON CONFLICT (lower(email))
         DO UPDATE SET password_hash = excluded.password_hash, role = 'admin'
         RETURNING id, email, name, created_at",
    )
    .bind(id)
    .bind(email.as_str())
    .bind(name)
    .bind(password_hash)
    .fetch_one(tx)
    .await?;
    let is_new = row.id == id;
    Ok((row.into(), is_new))
}

/// The account with this id.
pub(crate) async fn user(pool: &PgPool, id: Uuid) -> Result<Option<User>, sqlx::Error> {
    let row: Option<UserRow> =
        sqlx::query_as("SELECT id, email, name, created_at FROM users WHERE id = $1")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(User::from))
}

/// The accounts with these ids, in any order; no statement for no ids.
pub(crate) async fn users(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<User>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<UserRow> =
        sqlx::query_as("SELECT id, email, name, created_at FROM users WHERE id = ANY($1)")
            .bind(ids)
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Accounts after the id `after`, oldest first. Pages instead of a database cursor, so that a slow reader holds neither
/// a connection nor a transaction between two pages.
pub(crate) async fn page(
    pool: &PgPool,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<User>, sqlx::Error> {
    let rows: Vec<UserRow> = sqlx::query_as(
        "SELECT id, email, name, created_at FROM users WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after.unwrap_or(Uuid::nil()))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// The credentials that a sign-in with this email is checked against.
pub(crate) async fn credentials(
    pool: &PgPool,
    email: &Email,
) -> Result<Option<Credentials>, sqlx::Error> {
    let row: Option<(Uuid, String, String)> =
        sqlx::query_as("SELECT id, role, password_hash FROM users WHERE lower(email) = lower($1)")
            .bind(email.as_str())
            .fetch_optional(pool)
            .await?;
    row.map(|(user_id, role, password_hash)| {
        let known = REALM.role(&role);
        let role =
            known.ok_or_else(|| sqlx::Error::Decode(format!("unknown role {role}").into()))?;
        Ok(Credentials {
            user_id,
            role,
            password_hash,
        })
    })
    .transpose()
}

/// Stores a new hash of the same password, unless the password was changed in between.
pub(crate) async fn replace_hash(
    pool: &PgPool,
    user_id: Uuid,
    old: &str,
    new: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2")
        .bind(user_id)
        .bind(old)
        .bind(new)
        .execute(pool)
        .await
        .map(drop)
}
