//! What a reservation is and how it is decided.
//!
//! A reservation follows an order: the order is placed, and all of its lines are set aside or none;
//! it is cancelled, and what was set aside is for sale again.
//!
//! ```text
//!              placed ┌── reserved ──cancelled──▶ released
//!   (unknown) ────────┤
//!       │             └── rejected
//!       └──cancelled──▶ released      a placed that comes late must not reserve
//! ```

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use thiserror::Error;
use uuid::Uuid;

/// Most lines of an order, before lines of one product are merged. `orders` accepts no more than 50.
pub const LINES_MAX: usize = 100;

/// Most products that a rejection names, so that a reason stays one readable sentence.
pub const NAMED_MAX: usize = 5;

/// The reason of a placed order that had been cancelled before.
pub const CANCELLED: &str = "the order was cancelled";

/// What an order asks for: at least one line, one for each product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(BTreeMap<Uuid, i64>);

/// Why the lines of an order cannot be read as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadLines {
    /// There is nothing to reserve.
    #[error("an order needs at least one line")]
    Empty,
    /// More than [`LINES_MAX`].
    #[error("an order has at most {LINES_MAX} lines")]
    TooMany,
    /// A line that asks for nothing.
    #[error("the quantity of product {0} must be at least 1")]
    Zero(Uuid),
}

impl Lines {
    /// Reads the lines of an order; lines of one product become one.
    ///
    /// # Errors
    /// No lines, too many, or one that asks for nothing.
    pub fn parse(items: impl IntoIterator<Item = (Uuid, u32)>) -> Result<Self, BadLines> {
        let mut lines = BTreeMap::new();
        for (at, (product_id, quantity)) in items.into_iter().enumerate() {
            if at >= LINES_MAX {
                return Err(BadLines::TooMany);
            }
            let quantity = NonZeroU32::new(quantity).ok_or(BadLines::Zero(product_id))?;
            // 100 lines of 2^32 pieces fit an i64 many times over.
            *lines.entry(product_id).or_default() += i64::from(quantity.get());
        }
        if lines.is_empty() {
            return Err(BadLines::Empty);
        }
        Ok(Self(lines))
    }

    /// Each product and how many pieces of it, by ascending id: the order in which rows are locked.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, i64)> + '_ {
        self.0.iter().map(|(&id, &quantity)| (id, quantity))
    }
}

/// What there is of a product at the moment of the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Which product.
    pub product_id: Uuid,
    /// As customers know it.
    pub name: String,
    /// Pieces that are not set aside for anybody.
    pub available: i64,
}

/// The answer to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// All lines are set aside.
    Reserved,
    /// None is.
    Rejected {
        /// Why, in words for the customer.
        reason: String,
    },
}

/// Decides about an order: all lines, or none and the reason why.
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

/// Takes what was reserved off the stock, for the decision about the next order.
pub fn take(lines: &Lines, stock: &mut [Stock]) {
    for stock in stock {
        stock.available -= lines.0.get(&stock.product_id).copied().unwrap_or(0);
    }
}

/// Where the reservation of an order stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// All lines are set aside.
    Reserved,
    /// None was.
    Rejected {
        /// Why, in words for the customer.
        reason: String,
    },
    /// The order was cancelled: what was set aside, if anything, is for sale again.
    Released,
}

impl Reservation {
    /// What a repeated request for this order is told. Nothing is decided a second time, even if there
    /// is stock again: the first answer may have been acted upon.
    #[must_use]
    pub fn answer(self) -> Decision {
        match self {
            Self::Reserved => Decision::Reserved,
            Self::Rejected { reason } => Decision::Rejected { reason },
            // Rejected, not released: whoever asks waits for one of these two, and must not wait forever.
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
