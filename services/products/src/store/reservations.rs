//! SQL of stock and reservations: one function for each statement.
//!
//! All of them run in the transaction of the events that they handle. Locks are taken in one order: reservations, then
//! shelves (the rows of products), both by ascending id, then escrows. So transactions wait for each other but never
//! deadlock:
//!
//! - Whoever waits for a reservation holds no shelf, and whoever waits for a shelf holds no escrow. A transaction that
//!   handles a cancellation among other events returns to reservations after it has locked shelves, so it takes both
//!   beforehand ([`lock_ahead`]). One that sells from a lane takes escrows without waiting, and gives them back before it
//!   turns to the shelves ([`escrows::give_back`](super::escrows::give_back)).
//! - Whoever waits for an escrow has the shelf of its product. So nobody else waits for that escrow, and nobody can hold it
//!   but a transaction that sells from its lane. That one has everything it needs.
//!
//! What is left is an order that two consumers handle while partitions are reassigned: the second waits for the first one's
//! `INSERT`, wherever it is. PostgreSQL ends a circle of that, and the loser tries again.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row as _};
use uuid::Uuid;

use crate::domain::{Lines, Moves, Pieces, Reservation, Stock, pieces};

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

/// Locks the reservations of these orders, then the shelves of all products that they hold or that `lines` ask for: all
/// rows that a batch of several steps will touch, in the common order of locking. The steps then find them locked. Escrows
/// are not among them: they come last in that order, and each step takes those that it needs.
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
    .bind(ids(&pieces(lines)))
    .bind(order_ids)
    .execute(tx)
    .await?;
    Ok(())
}

fn ids(pieces: &Pieces) -> Vec<Uuid> {
    pieces.keys().copied().collect()
}

/// Locks the shelves of products and returns what is on each.
///
/// `ORDER BY` is applied before the lock: two orders for the same products wait at the first one that they share.
/// `NO KEY` because ids never change, so that rows that refer to a product need not wait.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn lock_shelves(
    tx: &mut PgConnection,
    wanted: &Pieces,
) -> Result<Vec<Stock>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, available FROM products WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(ids(wanted))
    .fetch_all(tx)
    .await
}

/// Changes shelves and escrows by `moves`, which must be locked and suffice for all of the orders, and stores the
/// reservations, in one statement. Each reservation's version is 1.
///
/// Lines are inserted by ascending product: each holds its product's key, and whoever else locks products does so in this
/// order.
///
/// # Errors
/// Errors of the database; a unique violation if an order has got a reservation in the meantime. That can happen while
/// partitions are reassigned: the consumer that lost retries, and finds the other's decision.
pub(crate) async fn reserve(
    tx: &mut PgConnection,
    orders: &[(Uuid, &Lines)],
    moves: &Moves,
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
    let (shelves, changes): (Vec<_>, Vec<_>) = moves.shelves.iter().copied().unzip();
    let escrows = moves.escrows.iter();
    sqlx::query(
        "WITH line AS (
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS line (order_id, product_id, quantity)
         ), reserved AS (
             INSERT INTO reservations (order_id, status, version)
             SELECT DISTINCT order_id, 'reserved', 1 FROM line
         ), shelf AS (
             UPDATE products SET available = available + moved.pieces
             FROM unnest($4::uuid[], $5::bigint[]) AS moved (product_id, pieces)
             WHERE products.id = moved.product_id
         ), held AS (
             INSERT INTO escrow (product_id, lane, available)
             SELECT * FROM unnest($6::uuid[], $7::smallint[], $8::bigint[])
             ON CONFLICT (product_id, lane) DO UPDATE SET available = excluded.available
         )
         INSERT INTO reservation_lines (order_id, product_id, quantity)
         SELECT order_id, product_id, quantity FROM line ORDER BY product_id",
    )
    .bind(order_ids)
    .bind(product_ids)
    .bind(quantities)
    .bind(shelves)
    .bind(changes)
    .bind(Vec::from_iter(escrows.clone().map(|escrow| escrow.product_id)))
    .bind(Vec::from_iter(escrows.clone().map(|escrow| escrow.lane)))
    .bind(Vec::from_iter(escrows.map(|escrow| escrow.available)))
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

/// Returns the reserved pieces of an order, whose reservation is locked, to the shelves. Returns the sequence of the
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
