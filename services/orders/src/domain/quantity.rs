//! How many pieces of a product.

/// The most pieces of one product in one order.
pub const MAX_QUANTITY: u32 = 1_000;

/// How many pieces: 1 to [`MAX_QUANTITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u32);

/// The number is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to {MAX_QUANTITY}")]
pub struct QuantityError;

impl Quantity {
    /// Takes 1 to [`MAX_QUANTITY`].
    ///
    /// # Errors
    /// For any other number.
    pub fn new(pieces: u64) -> Result<Self, QuantityError> {
        match u32::try_from(pieces) {
            Ok(pieces) if (1..=MAX_QUANTITY).contains(&pieces) => Ok(Self(pieces)),
            _ => Err(QuantityError),
        }
    }

    /// The number of pieces.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The sum of both.
    ///
    /// # Errors
    /// If it is more than [`MAX_QUANTITY`].
    pub fn plus(self, other: Self) -> Result<Self, QuantityError> {
        Self::new(u64::from(self.0) + u64::from(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_1_to_1000() {
        for good in [1, 2, 1000] {
            assert_eq!(u64::from(Quantity::new(good).unwrap().get()), good);
        }
        for bad in [0, 1001, u64::from(u32::MAX) + 2, u64::MAX] {
            assert_eq!(Quantity::new(bad), Err(QuantityError));
        }
    }
}
