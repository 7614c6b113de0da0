//! What must not be in a line that one person fills in and others read: in mails, on labels, on screens.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// Invisible characters whose category is letter or symbol: fillers of Hangul, and Braille without a dot.
const BLANK_LETTERS: [char; 5] = ['\u{115F}', '\u{1160}', '\u{3164}', '\u{FFA0}', '\u{2800}'];

/// Whether `c` ends a line, or is another control character.
#[must_use]
pub fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether `c` changes the direction of the text around it: one of Unicode's `Bidi_Control`.
#[must_use]
pub fn turns_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether `c` is visible by itself. Joiners and combining marks, which names also contain, are not.
#[must_use]
pub fn is_visible(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number, Punctuation, Symbol};
    matches!(
        c.general_category_group(),
        Letter | Number | Punctuation | Symbol
    ) && !BLANK_LETTERS.contains(&c)
}
