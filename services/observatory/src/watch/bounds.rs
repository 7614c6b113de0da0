//! How much of what is said is read and shown.

use crate::text::is_shown;

/// The most gauges of a kind, and the most rules, that are read of one answer and that a state has.
pub(super) const ENTRIES_MAX: usize = 128;

/// The beginning of a text, without what is not shown.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    let shown = text.chars().filter(|c| is_shown(*c));
    shown.take(chars_max).collect()
}
