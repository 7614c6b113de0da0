//! The history of statuses, which a trigger writes (migration 3) and this module reads.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgExecutor};
use uuid::Uuid;

use super::row::decode;
use crate::domain::Change;

/// The columns of a change.
#[derive(FromRow)]
struct ChangeRow {
    /// The order's id; in [`history`] the id of its user.
    of: Uuid,
    sequence: i64,
    status: String,
    reason: Option<String>,
    changed_at: DateTime<Utc>,
}

impl TryFrom<ChangeRow> for (Uuid, Change) {
    type Error = sqlx::Error;

    fn try_from(row: ChangeRow) -> Result<Self, sqlx::Error> {
        let change = Change {
            sequence: row.sequence,
            status: row.status.parse().map_err(decode)?,
            reason: row.reason,
            at: row.changed_at,
        };
        Ok((row.of, change))
    }
}

/// The user of an order and all of its changes, in order; `None` if there is no such order.
pub(crate) async fn history(
    db: impl PgExecutor<'_>,
    id: Uuid,
) -> sqlx::Result<Option<(Uuid, Vec<Change>)>> {
    let rows: Vec<ChangeRow> = sqlx::query_as(
        "SELECT o.user_id AS of, c.sequence, c.status, c.reason, c.changed_at
           FROM orders o JOIN order_changes c ON c.order_id = o.id
          WHERE o.id = $1 ORDER BY c.sequence",
    )
    .bind(id)
    .fetch_all(db)
    .await?;
    let Some(owner) = rows.first().map(|row| row.of) else {
        return Ok(None);
    };
    let changes = rows
        .into_iter()
        .map(|row| <(Uuid, Change)>::try_from(row).map(|(_, change)| change))
        .collect::<sqlx::Result<_>>()?;
    Ok(Some((owner, changes)))
}

/// The changes of each of these orders after the one that was `seen` last, in one statement with a primary key lookup for each
/// order.
pub(crate) async fn changes_after(
    db: impl PgExecutor<'_>,
    seen: Vec<(Uuid, i64)>,
) -> sqlx::Result<Vec<(Uuid, Change)>> {
    let (ids, sequences): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    let rows: Vec<ChangeRow> = sqlx::query_as(
        "SELECT c.order_id AS of, c.sequence, c.status, c.reason, c.changed_at
           FROM unnest($1::uuid[], $2::bigint[]) AS seen (order_id, sequence)
           JOIN order_changes c ON c.order_id = seen.order_id AND c.sequence > seen.sequence
          ORDER BY c.order_id, c.sequence",
    )
    .bind(ids)
    .bind(sequences)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(TryFrom::try_from).collect()
}
