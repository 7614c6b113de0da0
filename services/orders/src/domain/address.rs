//! Shipping addresses. They are checked as far as a label needs it; whether the address exists is not checked.

use std::{fmt, str::FromStr};

use contracts::text::{breaks_line, is_visible, turns_direction};

/// The longest line, in characters.
pub const MAX_ADDRESS_LINE: usize = 100;

/// A line on a label: 1 to [`MAX_ADDRESS_LINE`] characters, of which at least one can be seen. Neither breaks nor control characters,
/// and none that changes the direction of the text around it, since others read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressLine(String);

/// The text is not a line of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {MAX_ADDRESS_LINE} characters on one line, at least one of them visible and none that changes the direction of text"
)]
pub struct AddressLineError;

impl AddressLine {
    /// A line that was stored, whatever was required of lines at that time. A rule that came later must not make an order
    /// unreadable, and with it the list that it is in.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for AddressLine {
    type Err = AddressLineError;

    fn from_str(text: &str) -> Result<Self, AddressLineError> {
        let long = text.chars().nth(MAX_ADDRESS_LINE).is_some();
        let unfit = |c: char| breaks_line(c) || turns_direction(c);
        if long || text.chars().any(unfit) || !text.chars().any(is_visible) {
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
        let others = ["王府井大街 1号", "רחוב הרצל 1", "क्‍ष 5"];
        for good in ["x", "Ada Lovelace", "Straße des 17. Juni 135", &longest]
            .into_iter()
            .chain(others)
        {
            assert_eq!(good.parse::<AddressLine>().unwrap().to_string(), good);
        }
        let too_long = "ß".repeat(MAX_ADDRESS_LINE + 1);
        for bad in [
            "",
            "  ",
            "two\nlines",
            "two\u{2028}lines",
            "a\u{0}b",
            "\u{200B}\u{3164}",
            "Ada\u{202E}moc.live",
            "\u{2067}Ada\u{2069}",
            &too_long,
        ] {
            assert_eq!(bad.parse::<AddressLine>(), Err(AddressLineError), "{bad:?}");
        }
        // What was taken before such a rule is still there.
        let old = AddressLine::stored("Ada\u{202E}moc.live");
        assert_eq!(old.to_string(), "Ada\u{202E}moc.live");
    }

    #[test]
    fn a_country_is_two_capital_letters() {
        assert_eq!("DE".parse::<Country>().unwrap().to_string(), "DE");
        for bad in ["", "D", "de", "DEU", "Ä", "D1"] {
            assert_eq!(bad.parse::<Country>(), Err(CountryError), "{bad:?}");
        }
    }
}
