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

impl ChangeRow {
    /// The change, unless its status is one that this version does not know.
    fn change(self) -> sqlx::Result<Change> {
        Ok(Change {
            sequence: self.sequence,
            status: self.status.parse().map_err(decode)?,
            reason: self.reason,
            at: self.changed_at,
        })
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
    let changes = rows.into_iter().map(ChangeRow::change);
    Ok(Some((owner, changes.collect::<sqlx::Result<_>>()?)))
}

/// The changes of each of these orders after the one that was `seen` last, order by order and in their sequence, in one statement with
/// a primary key lookup for each order. One that cannot be read is an error by itself: the others are for other readers.
pub(crate) async fn changes_after(
    db: impl PgExecutor<'_>,
    seen: Vec<(Uuid, i64)>,
) -> sqlx::Result<Vec<(Uuid, sqlx::Result<Change>)>> {
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
    let change = |row: ChangeRow| (row.of, row.change());
    Ok(rows.into_iter().map(change).collect())
}
