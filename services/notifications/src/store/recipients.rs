//! The recipients by user id.

use sqlx::PgExecutor;
use uuid::Uuid;

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
