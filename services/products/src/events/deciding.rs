//! Decisions about placed orders: from a lane's escrows, where nobody waits for another order, or from the shelves.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    Decision, Lines, Pieces, decide_all, drawable, pieces, sell, sell_from_lane, short, whole,
};
use crate::store::{escrows, reservations};

/// What a transaction has locked of the stock before it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    /// Nothing yet.
    Nothing,
    /// The shelves of all products that it will touch: see [`reservations::lock_ahead`].
    Shelves,
}

/// What became of the attempt to serve orders from a lane.
enum FromLane {
    /// All of them are reserved.
    Served,
    /// Nothing was changed. The transaction has this lane, and holds none of its escrows.
    Short { lane: Option<i16> },
}

/// Decides about orders without a reservation, one after another, and stores the decisions. Returns them in the same
/// order.
///
/// # Errors
/// Errors of the database.
pub(super) async fn decide_and_store(
    tx: &mut PgConnection,
    orders: &[(Uuid, &Lines)],
    locked: Locked,
) -> Result<Vec<Decision>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = pieces(orders.iter().map(|(_, lines)| *lines));
    let lane = match locked {
        // They stay locked until the end anyway: to sell from a lane would spare nobody a wait.
        Locked::Shelves => None,
        Locked::Nothing => match from_lane(tx, orders, &wanted).await? {
            FromLane::Served => return Ok(vec![Decision::Reserved; orders.len()]),
            FromLane::Short { lane } => lane,
        },
    };
    from_shelves(tx, orders, &wanted, lane).await
}

/// Reserves all orders from the escrows of a lane that nobody else has, if they suffice for all.
async fn from_lane(
    tx: &mut PgConnection,
    orders: &[(Uuid, &Lines)],
    wanted: &Pieces,
) -> Result<FromLane, sqlx::Error> {
    // A transaction that waits for a shelf must not hold escrows, since the one that has the shelf may wait for them.
    escrows::mark(tx).await?;
    let Some(lane) = escrows::take_lane(tx, wanted).await? else {
        return Ok(FromLane::Short { lane: None });
    };
    if let Some(moves) = sell_from_lane(wanted, &lane.escrows) {
        reservations::reserve(tx, orders, &moves).await?;
        return Ok(FromLane::Served);
    }
    if lane.escrows.is_empty() {
        let lane = Some(lane.number);
        return Ok(FromLane::Short { lane });
    }
    escrows::give_back(tx).await?;
    Ok(FromLane::Short { lane: None })
}

/// Decides on the shelves and, where they are short, on what all lanes hold as well. Fills up `lane` on the way.
async fn from_shelves(
    tx: &mut PgConnection,
    orders: &[(Uuid, &Lines)],
    wanted: &Pieces,
    lane: Option<i16>,
) -> Result<Vec<Decision>, sqlx::Error> {
    // All products of all orders at once, in one order of locking: see `lock_shelves`.
    let shelves = reservations::lock_shelves(tx, wanted).await?;
    // A statement of its own: what it reads is as of now, when nobody else draws from these shelves any more.
    let (short, drawable) = (short(wanted, &shelves), drawable(&shelves));
    let held = escrows::lock_escrows(tx, &short, lane, &drawable).await?;
    let decisions = decide_all(
        orders.iter().map(|(_, lines)| *lines),
        whole(&shelves, &held),
    );
    let (mut reserved, mut rejected) = (Vec::new(), Vec::new());
    for (order, decision) in orders.iter().zip(&decisions) {
        match decision {
            Decision::Reserved => reserved.push(*order),
            Decision::Rejected { reason } => rejected.push((order.0, reason.clone())),
        }
    }
    let sold = pieces(reserved.iter().map(|(_, lines)| *lines));
    let moves = sell(&sold, &shelves, &held, lane);
    reservations::reserve(tx, &reserved, &moves).await?;
    reservations::reject(tx, rejected).await?;
    Ok(decisions)
}
