//! Products and their search.

use thiserror::Error;
use uuid::Uuid;

/// The longest search, in characters.
pub const SEARCH_CHARS_MAX: usize = 100;

/// A product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The product's id.
    pub id: Uuid,
    /// The name, short enough for lists.
    pub name: String,
    /// The description, one paragraph.
    pub description: String,
    /// The price of one piece, in the currency's minor unit (cents).
    pub price: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Pieces that can still be bought; reserved ones are already subtracted.
    pub available: i64,
}

/// The price of one piece of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The product's id.
    pub product_id: Uuid,
    /// The price in the currency's minor unit (cents).
    pub unit_price: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// Text to search for in names and descriptions; empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search(String);

/// Why a search is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadSearch {
    /// Longer than [`SEARCH_CHARS_MAX`].
    #[error("q must have at most {SEARCH_CHARS_MAX} characters")]
    TooLong,
    /// Not text: control characters, or bytes that are not UTF-8.
    #[error("q must be text: no control characters, and valid UTF-8")]
    NotText,
}

impl Search {
    /// Parses the text that a user typed; surrounding white space is ignored.
    ///
    /// # Errors
    /// If it is too long, or not text.
    pub fn parse(typed: &str) -> Result<Self, BadSearch> {
        let text = typed.trim();
        if text.chars().count() > SEARCH_CHARS_MAX {
            return Err(BadSearch::TooLong);
        }
        // The query string was decoded leniently: invalid UTF-8 arrives as U+FFFD. And PostgreSQL accepts no NUL in a
        // text.
        if text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
            return Err(BadSearch::NotText);
        }
        Ok(Self(text.to_owned()))
    }

    /// The search text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The search as a pattern for `LIKE` with its default escape character, in which every typed character is literal;
    /// `None` if everything matches.
    #[must_use]
    pub fn like_pattern(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut pattern = String::with_capacity(self.0.len() + 2);
        pattern.push('%');
        for c in self.0.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        Some(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_themselves() {
        let pattern = |typed| Search::parse(typed).unwrap().like_pattern();
        assert_eq!(pattern("kettle").as_deref(), Some("%kettle%"));
        assert_eq!(pattern(r"100%_\o/").as_deref(), Some(r"%100\%\_\\o/%"));
        assert_eq!(pattern(" \t "), None);
        assert_eq!(pattern(""), None);
    }

    #[test]
    fn a_search_is_short_text() {
        // Characters, not bytes.
        assert!(Search::parse(&"ü".repeat(SEARCH_CHARS_MAX)).is_ok());
        assert_eq!(
            Search::parse(&"ü".repeat(SEARCH_CHARS_MAX + 1)),
            Err(BadSearch::TooLong)
        );
        for typed in ["a\0b", "a\nb", "a\u{fffd}b"] {
            assert_eq!(Search::parse(typed), Err(BadSearch::NotText), "{typed:?}");
        }
    }
}
