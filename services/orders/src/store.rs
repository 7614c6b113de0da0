//! SQL: one function for each statement. Callers own the transaction, and so decide what is committed together.

mod changes;
mod idempotency;
mod place;
mod placer;
mod row;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chassis::db;
use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgRow;
use sqlx::{FromRow as _, PgConnection, PgExecutor, PgPool, Row as _};
use uuid::Uuid;

pub(crate) use changes::{changes_after, history};
pub(crate) use idempotency::{find_answer, purge_keys};
pub(crate) use place::{Claim, Claimed, NewOrder};
pub(crate) use placer::Placer;

use crate::domain::Order;
use row::{OrderColumns, OrderRow};

/// The schema of this service.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Migrates the schema, including the tables of outbox and inbox. Safe to repeat.
pub(crate) async fn prepare(pool: &PgPool) -> sqlx::Result<()> {
    db::migrate(pool, &MIGRATIONS).await?;
    outbox::install(pool).await
}

/// An order with its lines in one row. `LATERAL` computes the aggregate only for the orders of the page; a join would
/// repeat the order for each line, arrays do not.
macro_rules! select_orders {
    ($tail:literal) => {
        select_orders!(from "orders o", $tail)
    };
    (from $orders:literal, $tail:literal) => {
        concat!(
            "SELECT o.*, l.product_ids, l.quantities, l.unit_prices
               FROM ",
            $orders,
            "
              CROSS JOIN LATERAL (
                    SELECT array_agg(product_id ORDER BY position) AS product_ids,
                           array_agg(quantity   ORDER BY position) AS quantities,
                           array_agg(unit_price ORDER BY position) AS unit_prices
                      FROM order_lines WHERE order_id = o.id) l ",
            $tail
        )
    };
}

/// One order.
pub(crate) async fn find(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Order>> {
    let row: Option<OrderRow> = sqlx::query_as(select_orders!("WHERE o.id = $1"))
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.map(Order::try_from).transpose()
}

/// The orders of these ids that there are.
pub(crate) async fn find_all(
    db: impl PgExecutor<'_>,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Order>> {
    let rows: Vec<OrderRow> = sqlx::query_as(select_orders!("WHERE o.id = ANY($1)"))
        .bind(ids)
        .fetch_all(db)
        .await?;
    rows.into_iter()
        .map(|row| Order::try_from(row).map(|order| (order.id, order)))
        .collect()
}

/// One order. Its row is locked until the transaction ends, so that its events get consecutive sequences.
pub(crate) async fn lock(tx: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Order>> {
    let row: Option<OrderRow> = sqlx::query_as(select_orders!("WHERE o.id = $1 FOR UPDATE OF o"))
        .bind(id)
        .fetch_optional(tx)
        .await?;
    row.map(Order::try_from).transpose()
}

/// The orders that exist among these ids, locked as by [`lock`]. They are locked by ascending id, so that two transactions
/// cannot deadlock.
pub(crate) async fn lock_all(
    tx: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Order>> {
    let rows: Vec<OrderRow> = sqlx::query_as(select_orders!(
        "WHERE o.id = ANY($1) ORDER BY o.id FOR UPDATE OF o"
    ))
    .bind(ids)
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| Order::try_from(row).map(|order| (order.id, order)))
        .collect()
}

/// A user's orders, newest first, at most `limit`, from the one after (older than) `before`.
pub(crate) async fn page(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Order>> {
    // The largest UUID stands for "from the start": one statement, one plan.
    let rows: Vec<OrderRow> = sqlx::query_as(select_orders!(
        "WHERE o.user_id = $1 AND o.id < $2 ORDER BY o.id DESC LIMIT $3"
    ))
    .bind(user_id)
    .bind(before.unwrap_or(Uuid::max()))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Order::try_from).collect()
}

/// The newest orders of each of these users, newest first, at most `limit` for each of them, from the one after
/// (older than) `before`. One range of the index a user, in one statement.
pub(crate) async fn pages(
    db: impl PgExecutor<'_>,
    user_ids: &[Uuid],
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Order>> {
    let rows: Vec<OrderRow> = sqlx::query_as(select_orders!(
        from "unnest($1::uuid[]) AS asked (user_id)
              CROSS JOIN LATERAL (
                    SELECT * FROM orders
                     WHERE user_id = asked.user_id AND id < $2 ORDER BY id DESC LIMIT $3) o",
        "ORDER BY o.id DESC"
    ))
    .bind(user_ids)
    .bind(before.unwrap_or(Uuid::max()))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Order::try_from).collect()
}

/// Locks pending orders whose answer is overdue, the longest overdue first. Locked rows are skipped: another replica
/// requests their stock, or handles their answer, at this moment. One that cannot be read is an error by itself, with its id: the
/// others must not wait for it.
pub(crate) async fn lock_overdue(
    tx: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Result<Order, (Uuid, sqlx::Error)>>> {
    let rows = sqlx::query(select_orders!(
        "WHERE o.ask_again_at <= $1 ORDER BY o.ask_again_at LIMIT $2 FOR UPDATE OF o SKIP LOCKED"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    let order = |row: &PgRow| -> sqlx::Result<_> {
        let id: Uuid = row.try_get("id")?;
        let order = OrderRow::from_row(row).and_then(Order::try_from);
        Ok(order.map_err(|error| (id, error)))
    };
    rows.iter().map(order).collect()
}

/// Sets when to look again at pending orders that cannot be read. The caller holds their row locks.
pub(crate) async fn postpone(
    tx: &mut PgConnection,
    ids: &[Uuid],
    until: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE orders SET ask_again_at = $2 WHERE id = ANY($1)")
        .bind(ids)
        .bind(until)
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes the columns of an order that can change. The caller holds its row lock.
pub(crate) async fn save(tx: &mut PgConnection, order: &Order) -> sqlx::Result<()> {
    save_all(tx, [order]).await
}

/// [`save`] for several orders, in one statement.
pub(crate) async fn save_all(
    tx: &mut PgConnection,
    orders: impl IntoIterator<Item = &Order>,
) -> sqlx::Result<()> {
    let columns = OrderColumns::of(orders);
    if columns.ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE orders
            SET status = changed.status, reason = changed.reason, updated_at = changed.updated_at,
                confirmed_at = changed.confirmed_at, version = changed.version, asked = changed.asked,
                ask_again_at = changed.ask_again_at
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
                       $7::integer[], $8::timestamptz[])
                  AS changed (id, status, reason, updated_at, confirmed_at, version, asked, ask_again_at)
          WHERE orders.id = changed.id",
    )
    .bind(columns.ids)
    .bind(columns.statuses)
    .bind(columns.reasons)
    .bind(columns.updated_at)
    .bind(columns.confirmed_at)
    .bind(columns.versions)
    .bind(columns.asked)
    .bind(columns.ask_again_at)
    .execute(tx)
    .await?;
    Ok(())
}
