//! Money: whole minor units (cents) and a currency. Never a float, and no sum over two currencies.

use std::{fmt, str::FromStr};

use super::Quantity;

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

/// The text is not three capital letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a currency code: three capital letters, as in EUR")]
pub struct CurrencyError(pub String);

impl Currency {
    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII capitals get in, so this is always UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(CurrencyError(text.to_owned())),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// In the currency's minor unit.
    pub minor: i64,
    /// Which currency.
    pub currency: Currency,
}

impl Money {
    /// An amount in minor units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The price of `quantity` pieces at this price each; `None` if it does not fit in 64 bits.
    #[must_use]
    pub fn times(self, quantity: Quantity) -> Option<Self> {
        let minor = self.minor.checked_mul(i64::from(quantity.get()))?;
        Some(Self { minor, ..self })
    }

    /// The sum; `None` if it does not fit in 64 bits, or the currencies differ.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let minor = self.minor.checked_add(other.minor)?;
        Some(Self { minor, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, currency: &str) -> Money {
        Money::new(minor, currency.parse().unwrap())
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("EUR".parse::<Currency>().unwrap().as_str(), "EUR");
        for bad in ["", "eur", "EU", "EURO", "E1R", "€"] {
            assert_eq!(bad.parse::<Currency>(), Err(CurrencyError(bad.to_owned())));
        }
    }

    #[test]
    fn sums_are_checked() {
        assert_eq!(money(2, "EUR").plus(money(3, "EUR")), Some(money(5, "EUR")));
        assert_eq!(money(2, "EUR").plus(money(3, "USD")), None);
        assert_eq!(money(i64::MAX, "EUR").plus(money(1, "EUR")), None);
    }

    #[test]
    fn products_are_checked() {
        let two = Quantity::new(2).unwrap();
        assert_eq!(money(21, "EUR").times(two), Some(money(42, "EUR")));
        assert_eq!(money(i64::MAX / 2 + 1, "EUR").times(two), None);
    }
}
