//! Inserts a new order, its event and, under an idempotency key, its answer: all of it or nothing.

use contracts::values;
use outbox::{Outbox, Told};
use sqlx::PgPool;
use sqlx::types::Json;

use super::row::LineColumns;
use crate::domain::Order;

/// The idempotency key of a new order, and the answer to store under it.
pub(crate) struct Claim<'a> {
    /// The client's key, which is unique for each user.
    pub(crate) key: &'a str,
    /// The advisory lock of user and key, held until the statement's transaction ends.
    pub(crate) lock: i64,
    /// SHA-256 of the request.
    pub(crate) request_hash: &'a [u8],
    /// The status code of the answer.
    pub(crate) status_code: u16,
    /// The body of the answer, byte for byte.
    pub(crate) body: &'a [u8],
}

/// The result of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The order and its answer are inserted.
    Placed,
    /// Another transaction is placing an order with this key. Nothing was inserted.
    Running,
    /// An order with this key has been placed before; see [`find_answer`](super::find_answer). Nothing was inserted.
    Taken,
}

/// The statement of [`place`]: `$1` to `$5` are the event, `$6` to `$22` what is bound there, in its order. `$18` is the key,
/// or null.
// region: claim
const PLACE: &str = "\
    WITH lock AS MATERIALIZED (
             SELECT coalesce(pg_try_advisory_xact_lock($17), true) AS taken),
         claim AS (
             INSERT INTO idempotency_keys (user_id, key, request_hash, status_code, body, order_id)
             SELECT $7, $18, $19, $20, $21, $6 FROM lock WHERE taken AND $18 IS NOT NULL
                 ON CONFLICT DO NOTHING
             RETURNING order_id),
         new_order AS (
             INSERT INTO orders (id, user_id, status, total_amount, currency, created_at, updated_at,
                                 version, asked, ask_again_at, shipping_address)
             SELECT $6, $7, 'pending', $8, $9, $10, $10, $11, $12, $13, $22
              WHERE $18 IS NULL OR EXISTS (SELECT FROM claim)
             RETURNING id),
         new_lines AS (
             INSERT INTO order_lines (order_id, position, product_id, quantity, unit_price)
             SELECT new_order.id, line.position, line.product_id, line.quantity, line.unit_price
               FROM new_order,
                    unnest($14::uuid[], $15::integer[], $16::bigint[]) WITH ORDINALITY
                      AS line (product_id, quantity, unit_price, position))
    SELECT taken, coalesce((SELECT outbox_tell($1, $2, $3, $4, $5) FROM new_order), false) FROM lock";
// endregion: claim

/// Inserts a new order with its lines and its event, and the answer under its key, unless another transaction has inserted one
/// or is doing so; all of it or nothing.
///
/// It is one statement in its own transaction, so one round trip, for any number of lines and with or without a key. The lock
/// is *tried*: a second request gets "running" at once instead of waiting with a connection. A key that was committed between
/// this statement's snapshot and its insert is found by `ON CONFLICT`, which sees committed rows whatever the snapshot; so
/// there are never two orders for a key, even if two keys share a lock by chance.
pub(crate) async fn place(
    outbox: &Outbox,
    pool: &PgPool,
    told: Told,
    order: &Order,
    claim: Option<&Claim<'_>>,
) -> sqlx::Result<Claimed> {
    let lines = LineColumns::of(&order.lines);
    let address = order.shipping_address.as_ref().map(values::Address::from);
    let statement = told
        .query_as(PLACE)
        .bind(order.id)
        .bind(order.user_id)
        .bind(order.total.minor)
        .bind(order.total.currency.to_string())
        .bind(order.created_at)
        .bind(order.version)
        .bind(i32::try_from(order.asked).unwrap_or(i32::MAX))
        .bind(order.ask_again_at)
        .bind(lines.product_ids)
        .bind(lines.quantities)
        .bind(lines.unit_prices)
        .bind(claim.map(|claim| claim.lock))
        .bind(claim.map(|claim| claim.key))
        .bind(claim.map(|claim| claim.request_hash))
        .bind(claim.map(|claim| claim.status_code.cast_signed()))
        .bind(claim.map(|claim| claim.body))
        .bind(address.map(Json));
    let placed = outbox.tell_in(pool, "place order", statement);
    let (lock_taken, placed): (bool, bool) = placed.await?;
    Ok(match (lock_taken, placed) {
        (false, _) => Claimed::Running,
        (true, true) => Claimed::Placed,
        (true, false) => Claimed::Taken,
    })
}
