//! Reservations and the rules by which they are decided.
//!
//! A reservation follows an order. When the order is placed, either all of its lines are reserved or none; when it is
//! cancelled, the reserved pieces are for sale again.
//!
//! ```text
//!              placed ┌── reserved ──cancelled──▶ released
//!   (unknown) ────────┤
//!       │             └── rejected
//!       └──cancelled──▶ released      a `placed` that arrives later must not reserve
//! ```

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use thiserror::Error;
use uuid::Uuid;

/// The most lines of an order, before lines of one product are merged. `orders` accepts no more than 50.
pub const LINES_MAX: usize = 100;

/// The most products that a rejection names, so that a reason stays one readable sentence.
pub const NAMED_MAX: usize = 5;

/// The reason for rejecting a placed order that was cancelled before.
pub const CANCELLED: &str = "the order was cancelled";

/// The lines of an order: at least one, and one for each product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(BTreeMap<Uuid, i64>);

/// Why the lines of an order are invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadLines {
    /// There are no lines.
    #[error("an order needs at least one line")]
    Empty,
    /// More than [`LINES_MAX`].
    #[error("an order has at most {LINES_MAX} lines")]
    TooMany,
    /// A line with a quantity of 0.
    #[error("the quantity of product {0} must be at least 1")]
    Zero(Uuid),
}

impl Lines {
    /// Parses the lines of an order; lines of one product are merged.
    ///
    /// # Errors
    /// If there are no lines, too many, or one with a quantity of 0.
    pub fn parse(items: impl IntoIterator<Item = (Uuid, u32)>) -> Result<Self, BadLines> {
        let mut lines = BTreeMap::new();
        for (at, (product_id, quantity)) in items.into_iter().enumerate() {
            if at >= LINES_MAX {
                return Err(BadLines::TooMany);
            }
            let quantity = NonZeroU32::new(quantity).ok_or(BadLines::Zero(product_id))?;
            // 100 lines of 2^32 pieces fit into an i64 many times over.
            *lines.entry(product_id).or_default() += i64::from(quantity.get());
        }
        if lines.is_empty() {
            return Err(BadLines::Empty);
        }
        Ok(Self(lines))
    }

    /// Each product with its number of pieces, by ascending id: the order in which rows are locked.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, i64)> + '_ {
        self.0.iter().map(|(&id, &quantity)| (id, quantity))
    }
}

/// The stock of a product at the moment of the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The product's id.
    pub product_id: Uuid,
    /// The name that customers know.
    pub name: String,
    /// Pieces that are not reserved: all of them, or those on the shelf.
    pub available: i64,
}

/// The decision about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// All lines are reserved.
    Reserved,
    /// No line is reserved.
    Rejected {
        /// The reason, in words for the customer.
        reason: String,
    },
}

/// Decides about an order: all lines are reserved, or none, with the reason.
#[must_use]
pub fn decide(lines: &Lines, stock: &[Stock]) -> Decision {
    let stock: BTreeMap<Uuid, &Stock> = stock.iter().map(|s| (s.product_id, s)).collect();
    let mut missing = lines
        .iter()
        .filter_map(|(id, quantity)| match stock.get(&id) {
            None => Some(format!("product {id} is not in the catalogue")),
            Some(s) if s.available >= quantity => None,
            Some(s) if s.available <= 0 => Some(format!("{} is sold out", s.name)),
            Some(s) => Some(format!("only {} of {} left", s.available, s.name)),
        });
    let named: Vec<String> = missing.by_ref().take(NAMED_MAX).collect();
    if named.is_empty() {
        return Decision::Reserved;
    }
    let mut reason = named.join("; ");
    match missing.count() {
        0 => {}
        more => reason.push_str(&format!("; and {more} more products are short")),
    }
    Decision::Rejected { reason }
}

/// Decides about orders one after another, each on what those before it left of the stock. Returns the decisions in the
/// same order.
#[must_use]
pub fn decide_all<'a>(
    orders: impl IntoIterator<Item = &'a Lines>,
    mut stock: Vec<Stock>,
) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for lines in orders {
        let decision = decide(lines, &stock);
        if decision == Decision::Reserved {
            take(lines, &mut stock);
        }
        decisions.push(decision);
    }
    decisions
}

/// Subtracts the reserved pieces from the stock, for the decision about the next order.
fn take(lines: &Lines, stock: &mut [Stock]) {
    for stock in stock {
        stock.available -= lines.0.get(&stock.product_id).copied().unwrap_or(0);
    }
}

/// The state of an order's reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// All lines are reserved.
    Reserved,
    /// No line was reserved.
    Rejected {
        /// The reason, in words for the customer.
        reason: String,
    },
    /// The order was cancelled: the reserved pieces, if any, are for sale again.
    Released,
}

impl Reservation {
    /// The answer to a repeated request for this order. It is not decided a second time, even if there is stock again,
    /// since the first answer may have been acted upon.
    #[must_use]
    pub fn answer(self) -> Decision {
        match self {
            Self::Reserved => Decision::Reserved,
            Self::Rejected { reason } => Decision::Rejected { reason },
            // Rejected, not released: the requester waits for one of the first two answers, and must not wait for ever.
            Self::Released => Decision::Rejected {
                reason: CANCELLED.to_owned(),
            },
        }
    }
}

impl From<Decision> for Reservation {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Reserved => Self::Reserved,
            Decision::Rejected { reason } => Self::Rejected { reason },
        }
    }
}

// region: cancel
/// What the cancellation of an order leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// The stock goes back, and that is announced.
    Release,
    /// The order is remembered as cancelled, so that its placing, should it come later, reserves nothing.
    Remember,
    /// There is nothing to give back.
    Nothing,
}

/// Decides about a cancellation, from what is known of the order.
#[must_use]
pub fn cancel(known: Option<&Reservation>) -> Cancellation {
    match known {
        None => Cancellation::Remember,
        Some(Reservation::Reserved) => Cancellation::Release,
        Some(Reservation::Rejected { .. } | Reservation::Released) => Cancellation::Nothing,
    }
}
// endregion: cancel

#[cfg(test)]
#[path = "reservation_tests.rs"]
mod tests;
