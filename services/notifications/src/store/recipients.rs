//! The recipients by user id.

use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::domain::Recipient;

/// Stores the email and name of a user; the latest values replace earlier ones.
pub(crate) async fn learn(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    email: &str,
    name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO recipients (user_id, email, name) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET email = EXCLUDED.email, name = EXCLUDED.name, updated_at = now()",
    )
    .bind(user_id)
    .bind(email)
    .bind(name)
    .execute(db)
    .await?;
    Ok(())
}

/// The recipient with this user id, if it is known.
pub(crate) async fn find(pool: &PgPool, user_id: Uuid) -> Result<Option<Recipient>, sqlx::Error> {
    let row: Option<(String, String)> =
        sqlx::query_as("SELECT email, name FROM recipients WHERE user_id = $1")
            .bind(user_id)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(email, name)| Recipient { email, name }))
}
