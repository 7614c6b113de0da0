//! The products of an order, without and with prices.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Money, Quantity, QuantityError};

/// The most lines in one order, before lines of one product are merged.
pub const MAX_LINES: usize = 50;

/// Products and how many of each; each product once, in the order in which they were first named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basket(Vec<(Uuid, Quantity)>);

impl Basket {
    /// Adds pieces of a product; the same product again is the same line with more pieces.
    ///
    /// # Errors
    /// If the product's pieces together are more than [`MAX_QUANTITY`](super::MAX_QUANTITY). The basket is as before.
    pub fn add(&mut self, product: Uuid, quantity: Quantity) -> Result<(), QuantityError> {
        // A basket has at most MAX_LINES lines: a scan is faster than a map.
        match self.0.iter_mut().find(|(known, _)| *known == product) {
            Some((_, pieces)) => *pieces = pieces.plus(quantity)?,
            None => self.0.push((product, quantity)),
        }
        Ok(())
    }

    /// The products, each once.
    pub fn products(&self) -> impl ExactSizeIterator<Item = Uuid> + '_ {
        self.0.iter().map(|(product, _)| *product)
    }

    /// The lines.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = (Uuid, Quantity)> + '_ {
        self.0.iter().copied()
    }

    /// Assigns the prices to the lines and computes the total.
    ///
    /// # Errors
    /// See [`PricingError`].
    pub fn price(&self, prices: &HashMap<Uuid, Money>) -> Result<Priced, PricingError> {
        let unknown: Vec<_> = self
            .products()
            .filter(|product| !prices.contains_key(product))
            .collect();
        if !unknown.is_empty() {
            return Err(PricingError::Unknown(unknown));
        }
        let mut total: Option<Money> = None;
        let mut lines = Vec::with_capacity(self.0.len());
        for (product_id, quantity) in self.lines() {
            let unit_price = prices[&product_id];
            if unit_price.minor < 0
                || total.is_some_and(|total| total.currency != unit_price.currency)
            {
                return Err(PricingError::Inconsistent);
            }
            let amount = unit_price
                .times(quantity)
                .ok_or(PricingError::TooExpensive)?;
            total = Some(match total {
                None => amount,
                Some(total) => total.plus(amount).ok_or(PricingError::TooExpensive)?,
            });
            lines.push(Line {
                product_id,
                quantity,
                unit_price,
            });
        }
        Ok(Priced {
            lines,
            total: total.ok_or(PricingError::Empty)?,
        })
    }
}

/// One product in an order, with the price at which it was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub product_id: Uuid,
    /// Pieces.
    pub quantity: Quantity,
    /// One piece.
    pub unit_price: Money,
}

/// A basket with its prices: never empty, one currency, and the total fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// One line for each product.
    pub(super) lines: Vec<Line>,
    /// Sum over the lines.
    pub(super) total: Money,
}

/// Why a basket has no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// There is nothing in it.
    #[error("an order has at least one item")]
    Empty,
    /// These products have no price: they do not exist.
    #[error("{} of the products do not exist", .0.len())]
    Unknown(Vec<Uuid>),
    /// The total does not fit in 64 bits of minor units.
    #[error("the total is too large")]
    TooExpensive,
    /// Prices below zero or in different currencies: the catalogue's fault, not the customer's.
    #[error("the catalogue named prices that do not add up: negative, or in different currencies")]
    Inconsistent,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    fn quantity(pieces: u64) -> Quantity {
        Quantity::new(pieces).unwrap()
    }

    fn basket(lines: &[(u128, u64)]) -> Basket {
        let mut basket = Basket::default();
        for (product, pieces) in lines {
            basket
                .add(Uuid::from_u128(*product), quantity(*pieces))
                .unwrap();
        }
        basket
    }

    fn prices(of: &[(u128, Money)]) -> HashMap<Uuid, Money> {
        of.iter()
            .map(|(product, price)| (Uuid::from_u128(*product), *price))
            .collect()
    }

    #[test]
    fn the_limit_holds_for_the_product_not_for_the_line() {
        let mut basket = basket(&[(1, 600), (2, 1000)]);
        assert_eq!(
            basket.add(Uuid::from_u128(1), quantity(401)),
            Err(QuantityError)
        );
        basket.add(Uuid::from_u128(1), quantity(400)).unwrap();
        assert_eq!(basket.lines().next().unwrap().1, quantity(1000));
    }

    #[test]
    fn unknown_products_are_all_named() {
        let error = basket(&[(1, 1), (2, 1), (3, 1)])
            .price(&prices(&[(2, eur(5))]))
            .unwrap_err();
        assert_eq!(
            error,
            PricingError::Unknown(vec![Uuid::from_u128(1), Uuid::from_u128(3)])
        );
    }

    #[test]
    fn prices_must_add_up() {
        let two = basket(&[(1, 1), (2, 1)]);
        let usd = Money::new(1, "USD".parse().unwrap());
        assert_eq!(
            two.price(&prices(&[(1, eur(1)), (2, usd)])),
            Err(PricingError::Inconsistent)
        );
        assert_eq!(
            two.price(&prices(&[(1, eur(1)), (2, eur(-1))])),
            Err(PricingError::Inconsistent)
        );
        assert_eq!(
            two.price(&prices(&[(1, eur(i64::MAX)), (2, eur(1))])),
            Err(PricingError::TooExpensive)
        );
        assert_eq!(
            Basket::default().price(&HashMap::new()),
            Err(PricingError::Empty)
        );
    }

    proptest! {
        /// Merging keeps the number of pieces, and each product once, in the order of first occurrence.
        #[test]
        fn merging_keeps_the_pieces(lines in prop::collection::vec((0_u128..6, 1_u64..=20), 1..=50)) {
            let merged = basket(&lines);
            let mut seen = Vec::new();
            for (product, _) in &lines {
                if !seen.contains(product) {
                    seen.push(*product);
                }
            }
            prop_assert_eq!(merged.products().map(|product| product.as_u128()).collect::<Vec<_>>(), seen);
            for (product, pieces) in merged.lines() {
                let asked: u64 = lines.iter().filter(|(id, _)| *id == product.as_u128()).map(|(_, n)| n).sum();
                prop_assert_eq!(u64::from(pieces.get()), asked);
            }
        }

        /// The total equals a calculation with unlimited integers, or is refused.
        #[test]
        fn the_total_is_exact(lines in prop::collection::vec((1_u64..=1000, 0_i64..=i64::MAX / 3), 1..=50)) {
            let mut wanted = Basket::default();
            let mut named = HashMap::new();
            let mut exact = 0_i128;
            for (n, (pieces, price)) in (0_u128..).zip(&lines) {
                wanted.add(Uuid::from_u128(n), quantity(*pieces)).unwrap();
                named.insert(Uuid::from_u128(n), eur(*price));
                exact += i128::from(*pieces) * i128::from(*price);
            }
            match wanted.price(&named) {
                Ok(priced) => {
                    prop_assert_eq!(i128::from(priced.total.minor), exact);
                    prop_assert_eq!(priced.lines.len(), lines.len());
                }
                Err(error) => {
                    prop_assert_eq!(error, PricingError::TooExpensive);
                    prop_assert!(exact > i128::from(i64::MAX));
                }
            }
        }
    }
}
