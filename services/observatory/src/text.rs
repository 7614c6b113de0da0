//! Text of others, fit to be shown beside one's own.

/// The most bytes of any text; a longer one is cut.
const TEXT_BYTES_MAX: usize = 256;

/// Whether a character is shown. Controls are not: JSON makes six bytes of each. Nor is what turns the direction of the text
/// behind it (Unicode's `Bidi_Control`), which may be somebody else's.
pub(crate) fn is_shown(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !turns && !c.is_control()
}

/// A text as it is kept: its beginning, without what is not shown.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.shrink_to_fit();
    }
    // Most are plain, and all of a plain text is shown. Each byte is looked at whatever the others are, so that the processor
    // compares many at once.
    let is_plain = |plain, byte| plain & matches!(byte, b' '..=b'~');
    if !text.bytes().fold(true, is_plain) {
        text.retain(is_shown);
    }
    text
}

/// What the allocator takes for a text, about.
pub(crate) fn allocated(text: &str) -> usize {
    text.len().next_multiple_of(16)
}
