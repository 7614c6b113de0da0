//! Text of others, fit to be shown beside one's own.

/// Whether a character is shown. Controls are not: JSON makes six bytes of each. Nor is what turns the direction of the text
/// behind it (Unicode's `Bidi_Control`), which may be somebody else's.
pub(crate) fn is_shown(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !turns && !c.is_control()
}
