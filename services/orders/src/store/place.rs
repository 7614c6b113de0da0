//! Inserts new orders, each with its event and, under an idempotency key, its answer: all of an order or nothing of it.

use std::iter;

use axum::body::Bytes;
use contracts::values;
use outbox::{Outbox, Telling, Told};
use sqlx::PgConnection;
use sqlx::postgres::PgBindIterExt as _;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::{Line, Order};

/// An order to be placed.
#[derive(Debug)]
pub(crate) struct NewOrder {
    pub(crate) order: Order,
    /// The events that tell of it.
    pub(crate) told: Told,
    /// Present if the client sent a key.
    pub(crate) claim: Option<Claim>,
}

/// The idempotency key of a new order, and the answer to store under it.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The client's key, which is unique for each user.
    pub(crate) key: String,
    /// The advisory lock of user and key, held until the statement's transaction ends.
    pub(crate) lock: i64,
    /// SHA-256 of the request.
    pub(crate) request_hash: [u8; 32],
    /// The status code of the answer.
    pub(crate) status_code: u16,
    /// The body of the answer, byte for byte.
    pub(crate) body: Bytes,
}

/// What became of a new order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The order and its answer are inserted.
    Placed,
    /// Another transaction is placing an order with this key. Nothing was inserted.
    Running,
    /// An order with this key has been placed before; see [`find_answer`](super::find_answer). Nothing was inserted.
    Taken,
}

/// The statement of [`place_all`]. `$1` to `$6` are events, each with the id of its order; `$7` to `$20` orders; `$21` to `$25`
/// lines. Each is a column: [`statement`] binds them in this order.
// region: claim
const PLACE: &str = "\
    WITH wanted AS MATERIALIZED (
             SELECT *, coalesce(pg_try_advisory_xact_lock(lock), true) AS is_free
               FROM unnest($7::uuid[], $8::uuid[], $9::bigint[], $10::text[], $11::timestamptz[], $12::bigint[],
                           $13::integer[], $14::timestamptz[], $15::jsonb[],
                           $16::bigint[], $17::text[], $18::bytea[], $19::smallint[], $20::bytea[]) WITH ORDINALITY
                      AS new (id, user_id, total_amount, currency, created_at, version,
                              asked, ask_again_at, shipping_address,
                              lock, key, request_hash, status_code, body, position)),
         claim AS (
             INSERT INTO idempotency_keys (user_id, key, request_hash, status_code, body, order_id)
             SELECT user_id, key, request_hash, status_code, body, id
               FROM wanted WHERE is_free AND key IS NOT NULL ORDER BY user_id, key, position
                 ON CONFLICT DO NOTHING
             RETURNING order_id),
         placed AS (
             INSERT INTO orders (id, user_id, status, total_amount, currency, created_at, updated_at,
                                 version, asked, ask_again_at, shipping_address)
             SELECT id, user_id, 'pending', total_amount, currency, created_at, created_at,
                    version, asked, ask_again_at, shipping_address
               FROM wanted WHERE key IS NULL OR id IN (SELECT order_id FROM claim)
             RETURNING id),
         new_lines AS (
             INSERT INTO order_lines (order_id, position, product_id, quantity, unit_price)
             SELECT * FROM unnest($21::uuid[], $22::smallint[], $23::uuid[], $24::integer[], $25::bigint[])
                             AS line (order_id, position, product_id, quantity, unit_price)
              WHERE order_id = ANY (ARRAY(SELECT id FROM placed))),
         told AS MATERIALIZED (
             SELECT outbox_tell(array_agg(lane), array_agg(destination), array_agg(key), array_agg(headers),
                                array_agg(payload)) AS is_told
               FROM (SELECT *
                       FROM unnest($1::smallint[], $2::text[], $3::text[], $4::jsonb[], $5::bytea[], $6::uuid[]) WITH ORDINALITY
                              AS event (lane, destination, key, headers, payload, order_id, position)
                      WHERE order_id = ANY (ARRAY(SELECT id FROM placed)) ORDER BY position) AS events)
    SELECT is_free, id = ANY (ARRAY(SELECT id FROM placed)) AND (SELECT is_told FROM told)
      FROM wanted ORDER BY position";
// endregion: claim

/// Inserts new orders with their lines and events, and the answers under their keys. An order whose key another transaction
/// has inserted, or is inserting, is left out, and so are its events. Returns what became of each, in their order.
///
/// It is one statement in its own transaction, so one round trip, for any number of orders and lines, with or without keys.
/// Locks are *tried*: a second request gets "running" at once instead of waiting with a connection. So orders that share a
/// statement do not wait for each other's keys, and two statements never wait for each other in a circle; that keys are
/// inserted in one order keeps it so beside a writer that takes no locks. A key that was committed between this
/// statement's snapshot and its insert, or that is in `orders` twice, is found by `ON CONFLICT`, which sees committed rows and
/// its own whatever the snapshot; so there are never two orders for a key.
///
/// # Errors
/// The database's: no order was placed, unless its answer got lost.
pub(super) async fn place_all(
    outbox: &Outbox,
    connection: &mut PgConnection,
    orders: &[NewOrder],
) -> sqlx::Result<Vec<Claimed>> {
    let placed = outbox.tell_all_in(connection, statement(orders)).await?;
    let claimed = |(is_free, is_placed)| match (is_free, is_placed) {
        (false, _) => Claimed::Running,
        (true, true) => Claimed::Placed,
        (true, false) => Claimed::Taken,
    };
    Ok(placed.into_iter().map(claimed).collect())
}

fn statement(all: &[NewOrder]) -> Telling<'_, (bool, bool)> {
    let events = all
        .iter()
        .flat_map(|new| iter::repeat_n(new.order.id, new.told.count()));
    let orders = || all.iter().map(|new| &new.order);
    let claims = || all.iter().map(|new| new.claim.as_ref());
    let lines = || all.iter().flat_map(|new| numbered(&new.order));
    let asked = |order: &Order| i32::try_from(order.asked).unwrap_or(i32::MAX);
    let status = |claim: Option<&Claim>| Some(claim?.status_code.cast_signed());
    // At most MAX_QUANTITY, so it always fits.
    let quantity = |(.., line): (Uuid, i16, &Line)| line.quantity.get().cast_signed();
    Told::query_all_as(all.iter().map(|new| &new.told), PLACE)
        .bind(events.bind_iter())
        .bind(orders().map(|it| it.id).bind_iter())
        .bind(orders().map(|it| it.user_id).bind_iter())
        .bind(orders().map(|it| it.total.minor).bind_iter())
        .bind(orders().map(|it| it.total.currency.as_str()).bind_iter())
        .bind(orders().map(|it| it.created_at).bind_iter())
        .bind(orders().map(|it| it.version).bind_iter())
        .bind(orders().map(asked).bind_iter())
        .bind(orders().map(|it| it.ask_again_at).bind_iter())
        .bind(orders().map(address).bind_iter())
        .bind(claims().map(|it| Some(it?.lock)).bind_iter())
        .bind(claims().map(|it| Some(it?.key.as_str())).bind_iter())
        .bind(claims().map(|it| Some(&it?.request_hash[..])).bind_iter())
        .bind(claims().map(status).bind_iter())
        .bind(claims().map(|it| Some(&it?.body[..])).bind_iter())
        .bind(lines().map(|(order_id, ..)| order_id).bind_iter())
        .bind(lines().map(|(_, position, _)| position).bind_iter())
        .bind(lines().map(|(.., line)| line.product_id).bind_iter())
        .bind(lines().map(quantity).bind_iter())
        .bind(lines().map(|(.., line)| line.unit_price.minor).bind_iter())
}

/// The lines of an order, each with the order's id and its position, from 1.
fn numbered(order: &Order) -> impl Iterator<Item = (Uuid, i16, &Line)> {
    let lines = order.lines.iter().zip(1_i16..);
    lines.map(move |(line, position)| (order.id, position, line))
}

fn address(order: &Order) -> Option<Json<values::Address>> {
    let address = order.shipping_address.as_ref();
    address.map(|address| Json(address.into()))
}
