//! Shipping addresses. They are checked as far as a label needs it; whether the address exists is not checked.

use std::{fmt, str::FromStr};

/// The longest line, in characters.
pub const MAX_ADDRESS_LINE: usize = 100;

/// A line on a label: 1 to [`MAX_ADDRESS_LINE`] characters, no control characters, not only white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressLine(String);

/// The text is not a line of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_ADDRESS_LINE} characters on one line")]
pub struct AddressLineError;

impl FromStr for AddressLine {
    type Err = AddressLineError;

    fn from_str(text: &str) -> Result<Self, AddressLineError> {
        let long = text.chars().count() > MAX_ADDRESS_LINE;
        if long || text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(AddressLineError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AddressLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An ISO 3166-1 code: two capital letters. Whether a country has it is not checked, since the list changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Country(String);

/// The text is not two capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a country code: two capital letters, as in DE")]
pub struct CountryError;

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CountryError)
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an order is sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Who receives it there.
    pub name: AddressLine,
    /// Street and number, or what stands for them.
    pub street: AddressLine,
    /// Where there is one.
    pub postal_code: Option<AddressLine>,
    /// The town.
    pub city: AddressLine,
    /// In which country.
    pub country: Country,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_text_on_one_line() {
        let longest = "ß".repeat(MAX_ADDRESS_LINE);
        for good in ["x", "Ada Lovelace", "Straße des 17. Juni 135", &longest] {
            assert_eq!(good.parse::<AddressLine>().unwrap().to_string(), good);
        }
        let too_long = "ß".repeat(MAX_ADDRESS_LINE + 1);
        for bad in ["", "  ", "two\nlines", "a\u{0}b", &too_long] {
            assert_eq!(bad.parse::<AddressLine>(), Err(AddressLineError), "{bad:?}");
        }
    }

    #[test]
    fn a_country_is_two_capital_letters() {
        assert_eq!("DE".parse::<Country>().unwrap().to_string(), "DE");
        for bad in ["", "D", "de", "DEU", "Ä", "D1"] {
            assert_eq!(bad.parse::<Country>(), Err(CountryError), "{bad:?}");
        }
    }
}
