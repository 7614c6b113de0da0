//! SQL of stock and reservations: one function for each statement.
//!
//! All of them run in the transaction of the events that they handle. Locks are taken in one order, reservations first
//! and then products, both by ascending id, so that transactions wait for each other but never deadlock. A transaction
//! that handles a cancellation among other events returns to reservations after it has locked products, so it takes all
//! of its locks beforehand ([`lock_ahead`]).

use std::collections::{BTreeSet, HashMap};

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row as _};
use uuid::Uuid;

use crate::domain::{Lines, Reservation, Stock};

/// Locks the reservations of these orders and returns their states; orders without a reservation are not in the result.
///
/// # Errors
/// Errors of the database; a status that this code does not know.
pub(crate) async fn lock_all(
    tx: &mut PgConnection,
    order_ids: &[Uuid],
) -> Result<HashMap<Uuid, Reservation>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT order_id, status, reason FROM reservations WHERE order_id = ANY($1)
         ORDER BY order_id FOR UPDATE",
    )
    .bind(order_ids)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("order_id")?, Reservation::from_row(row)?)))
        .collect()
}

/// Locks the reservations of these orders, then all products that they hold or that `lines` ask for: all rows that a
/// batch of several steps will touch, in the common order of locking. The steps then find them locked.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn lock_ahead<'a>(
    tx: &mut PgConnection,
    order_ids: &[Uuid],
    lines: impl Iterator<Item = &'a Lines>,
) -> Result<(), sqlx::Error> {
    // A separate statement, so that the lines of a reservation are read when no other transaction can release it any
    // more.
    lock_all(tx, order_ids).await?;
    sqlx::query(
        "SELECT id FROM products
         WHERE id = ANY($1)
            OR id IN (SELECT product_id FROM reservation_lines WHERE order_id = ANY($2))
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(products(lines))
    .bind(order_ids)
    .execute(tx)
    .await?;
    Ok(())
}

/// The product ids of the orders, each once.
fn products<'a>(orders: impl Iterator<Item = &'a Lines>) -> Vec<Uuid> {
    let ids: BTreeSet<Uuid> = orders
        .flat_map(|lines| lines.iter().map(|(id, _)| id))
        .collect();
    Vec::from_iter(ids)
}

/// Locks the products of orders and returns the stock of each.
///
/// `ORDER BY` is applied before the lock: two orders for the same products wait at the first one that they share.
/// `NO KEY` because ids never change, so that rows that refer to a product need not wait.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn lock_stock<'a>(
    tx: &mut PgConnection,
    orders: impl Iterator<Item = &'a Lines>,
) -> Result<Vec<Stock>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, available FROM products WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(products(orders))
    .fetch_all(tx)
    .await
}

/// Subtracts the lines of orders from the stock and stores the reservations, in one statement. The stock must be locked
/// and sufficient for all of them. Each reservation's version is 1.
///
/// # Errors
/// Errors of the database; a unique violation if an order has got a reservation in the meantime. That can happen while
/// partitions are reassigned: the consumer that lost retries, and finds the other's decision.
pub(crate) async fn reserve(
    tx: &mut PgConnection,
    orders: &[(Uuid, &Lines)],
) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    let (mut order_ids, mut product_ids, mut quantities) = (Vec::new(), Vec::new(), Vec::new());
    for (order_id, lines) in orders {
        for (product_id, quantity) in lines.iter() {
            order_ids.push(*order_id);
            product_ids.push(product_id);
            quantities.push(quantity);
        }
    }
    sqlx::query(
        "WITH line AS (
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS line (order_id, product_id, quantity)
         ), reserved AS (
             INSERT INTO reservations (order_id, status, version)
             SELECT DISTINCT order_id, 'reserved', 1 FROM line
         ), taken AS (
             UPDATE products SET available = available - sold.quantity
             FROM (SELECT product_id, sum(quantity)::bigint AS quantity FROM line GROUP BY product_id) AS sold
             WHERE products.id = sold.product_id
         )
         INSERT INTO reservation_lines (order_id, product_id, quantity)
         SELECT order_id, product_id, quantity FROM line",
    )
    .bind(order_ids)
    .bind(product_ids)
    .bind(quantities)
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores that these orders were rejected, and why. Each reservation's version is 1.
///
/// # Errors
/// As [`reserve`].
pub(crate) async fn reject(
    tx: &mut PgConnection,
    orders: Vec<(Uuid, String)>,
) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    let (order_ids, reasons): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
    sqlx::query(
        "INSERT INTO reservations (order_id, status, reason, version)
         SELECT order_id, 'rejected', reason, 1 FROM unnest($1::uuid[], $2::text[]) AS rejected (order_id, reason)",
    )
    .bind(order_ids)
    .bind(reasons)
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores the cancellation of an order that is otherwise unknown. The version is 0, since no event is sent.
///
/// # Errors
/// As [`reserve`].
pub(crate) async fn remember_cancelled(
    tx: &mut PgConnection,
    order_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO reservations (order_id, status, version) VALUES ($1, 'released', 0)")
        .bind(order_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Increments the version of a reservation whose row is locked. Returns it as the sequence of the next event.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn next_version(
    tx: &mut PgConnection,
    order_id: Uuid,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE reservations SET version = version + 1, updated_at = now()
         WHERE order_id = $1 RETURNING version",
    )
    .bind(order_id)
    .fetch_one(tx)
    .await
}

/// Returns the reserved pieces of an order, whose reservation is locked, to the stock. Returns the sequence of the
/// event that announces it.
///
/// Two statements: the first locks the products in the common order of locking, which an `UPDATE … FROM` alone does not
/// guarantee.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn release(tx: &mut PgConnection, order_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query(
        "SELECT id FROM products
         WHERE id IN (SELECT product_id FROM reservation_lines WHERE order_id = $1)
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(order_id)
    .execute(&mut *tx)
    .await?;
    sqlx::query_scalar(
        "WITH returned AS (
             UPDATE products SET available = available + line.quantity
             FROM reservation_lines AS line
             WHERE line.order_id = $1 AND products.id = line.product_id
         )
         UPDATE reservations SET status = 'released', version = version + 1, updated_at = now()
         WHERE order_id = $1 RETURNING version",
    )
    .bind(order_id)
    .fetch_one(tx)
    .await
}

impl FromRow<'_, PgRow> for Reservation {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        match row.try_get("status")? {
            "reserved" => Ok(Self::Reserved),
            "rejected" => Ok(Self::Rejected {
                reason: row.try_get("reason")?,
            }),
            "released" => Ok(Self::Released),
            other => Err(sqlx::Error::Decode(
                format!("no such status of a reservation: {other}").into(),
            )),
        }
    }
}

impl FromRow<'_, PgRow> for Stock {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            product_id: row.try_get("id")?,
            name: row.try_get("name")?,
            available: row.try_get("available")?,
        })
    }
}
