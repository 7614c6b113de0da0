//! What a reader of a ring gets at a time.

use std::fmt::Write;

/// Records as server-sent events.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The events.
    pub(crate) text: String,
    /// The place of the last record.
    pub(crate) last: u64,
}

impl Batch {
    /// Adds one. `data` is JSON, which has no line breaks.
    pub(super) fn event(&mut self, id: u64, event: &str, data: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "id:{id}");
        for part in ["\nevent:", event, "\ndata:", data, "\n\n"] {
            self.text.push_str(part);
        }
    }
}
