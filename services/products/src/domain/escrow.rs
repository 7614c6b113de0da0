//! Where the pieces of a product are: on its shelf, or in escrow.
//!
//! A number that every order changes makes every order wait. So pieces are drawn from the shelf ahead of demand and held
//! in escrow for a *lane*. A transaction that has a lane for itself sells from its escrows and touches nothing that others
//! want. What is for sale is the shelf and all escrows of a product together: a shelf that is short is helped out by the
//! escrows of all lanes, so an order is rejected exactly if the whole is short.
//!
//! After P. E. O'Neil, *The Escrow Transactional Method*, ACM Transactions on Database Systems 11 (1986).

use std::collections::BTreeMap;

use uuid::Uuid;

use super::reservation::{Lines, Stock};

/// How many lanes there are, and so how many transactions can sell at a time without waiting. A replica decides in three
/// transactions at a time (its consumers have a third of ten connections), so these are for five replicas. A lane that
/// nobody uses costs nothing; one that is used holds pieces that have to be gathered when the shelf is short.
pub const LANES: i16 = 16;

/// The most pieces of a product that are drawn for a lane: for sixteen full batches of one piece an order. What fills a lane
/// up waits for the shelf, so that should be rare; and the shelf is what people change by hand, so most should stay there.
pub const PORTION_MAX: i64 = 1_024;

/// Numbers of pieces, by product.
pub type Pieces = BTreeMap<Uuid, i64>;

/// What a lane holds of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escrow {
    /// The product's id.
    pub product_id: Uuid,
    /// The lane, from 0 to [`LANES`] − 1.
    pub lane: i16,
    /// Pieces that are not reserved.
    pub available: i64,
}

/// What a sale changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    /// By how many pieces shelves change.
    pub shelves: Vec<(Uuid, i64)>,
    /// What escrows hold afterwards. Those that are not named stay as they are.
    pub escrows: Vec<Escrow>,
}

/// The pieces that orders ask for together.
#[must_use]
pub fn pieces<'a>(orders: impl IntoIterator<Item = &'a Lines>) -> Pieces {
    let mut pieces = Pieces::new();
    for (product_id, quantity) in orders.into_iter().flat_map(|lines| lines.iter()) {
        *pieces.entry(product_id).or_default() += quantity;
    }
    pieces
}

/// Sells all of these pieces from the escrows of one lane; `None` if it holds too little of any product.
#[must_use]
pub fn sell_from_lane(sold: &Pieces, lane: &[Escrow]) -> Option<Moves> {
    let lane: BTreeMap<Uuid, &Escrow> = lane.iter().map(|held| (held.product_id, held)).collect();
    let mut escrows = Vec::with_capacity(sold.len());
    for (product_id, quantity) in sold {
        let held = **lane.get(product_id)?;
        let available = held.available - quantity;
        if available < 0 {
            return None;
        }
        escrows.push(Escrow { available, ..held });
    }
    Some(Moves {
        shelves: Vec::new(),
        escrows,
    })
}

/// The products of which the shelf alone holds less than is wanted: decisions about them need the escrows of all lanes.
#[must_use]
pub fn short(wanted: &Pieces, shelves: &[Stock]) -> Vec<Uuid> {
    let wanted = |shelf: &Stock| wanted.get(&shelf.product_id).copied().unwrap_or(0);
    ids(shelves, |shelf| shelf.available < wanted(shelf))
}

/// The products of which a lane may draw from the shelf.
#[must_use]
pub fn drawable(shelves: &[Stock]) -> Vec<Uuid> {
    ids(shelves, |shelf| portion(shelf.available) > 0)
}

fn ids(shelves: &[Stock], wanted: impl Fn(&Stock) -> bool) -> Vec<Uuid> {
    let wanted = shelves.iter().filter(|shelf| wanted(shelf));
    wanted.map(|shelf| shelf.product_id).collect()
}

/// The pieces of each product on the shelf and in these escrows, for [`decide_all`](super::decide_all).
#[must_use]
pub fn whole(shelves: &[Stock], escrows: &[Escrow]) -> Vec<Stock> {
    let mut held = Pieces::new();
    for escrow in escrows {
        *held.entry(escrow.product_id).or_default() += escrow.available;
    }
    let mut stock = shelves.to_vec();
    for product in &mut stock {
        product.available += held.get(&product.product_id).copied().unwrap_or(0);
    }
    stock
}

/// Sells these pieces from the shelves, and draws from what is left on them for the lane `own`, if there is one.
///
/// `escrows` holds those of the lane `own` of all [`drawable`] products and those of all lanes of products that are
/// [`short`]; together with the shelves that must suffice.
#[must_use]
pub fn sell(sold: &Pieces, shelves: &[Stock], escrows: &[Escrow], own: Option<i16>) -> Moves {
    let mut held: BTreeMap<Uuid, Vec<&Escrow>> = BTreeMap::new();
    for escrow in escrows {
        held.entry(escrow.product_id).or_default().push(escrow);
    }
    let mut moves = Moves::default();
    for shelf in shelves {
        if let Some(quantity) = sold.get(&shelf.product_id) {
            let held = held.remove(&shelf.product_id).unwrap_or_default();
            moves.sell(*quantity, shelf, &held, own);
        }
    }
    moves
}

impl Moves {
    /// Sells pieces of one product. A shelf that is short gathers what all lanes hold, so that the next order finds it
    /// on the shelf and need not gather again.
    fn sell(&mut self, quantity: i64, shelf: &Stock, held: &[&Escrow], own: Option<i16>) {
        let product_id = shelf.product_id;
        let in_lane = |lane| held.iter().find(|escrow| Some(escrow.lane) == lane);
        let before = in_lane(own).map_or(0, |escrow| escrow.available);
        let (mut left, mut of_own) = (shelf.available - quantity, before);
        if left < 0 {
            left += held.iter().map(|escrow| escrow.available).sum::<i64>();
            of_own = 0;
            let others = held.iter().filter(|escrow| Some(escrow.lane) != own);
            self.escrows.extend(others.map(|escrow| Escrow {
                available: 0,
                ..**escrow
            }));
        }
        if let Some(lane) = own {
            let drawn = (portion(left) - of_own).max(0);
            left -= drawn;
            of_own += drawn;
            if of_own != before {
                self.escrows.push(Escrow {
                    product_id,
                    lane,
                    available: of_own,
                });
            }
        }
        if left != shelf.available {
            self.shelves.push((product_id, left - shelf.available));
        }
    }
}

/// How many pieces a lane may hold when this many are on the shelf: its equal share. If all lanes draw, a third stays on the
/// shelf; of a few pieces all do, since drawing and gathering would cost more than waiting.
fn portion(on_shelf: i64) -> i64 {
    (on_shelf / i64::from(LANES)).min(PORTION_MAX)
}

#[cfg(test)]
#[path = "escrow_tests.rs"]
mod tests;
