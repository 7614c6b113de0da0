//! A place in a ring: a record that is written, or a start that will be when somebody reads it.

use super::known::Start;

/// The event of all records of hops.
pub(super) const HOP: &str = "hop";
/// What a record costs beside its text, about.
const ENTRY_BYTES: usize = 48;
/// What a start counts for until it is written.
const START_BYTES: usize = 600;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: &'static str,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Written(Box<str>),
    /// Under load most are left out before they are written.
    Start(Start),
    LeftOut,
}

impl Entry {
    pub(super) fn written(event: &'static str, text: Box<str>) -> Self {
        let data = Data::Written(text);
        Self { event, data }
    }

    pub(super) fn start(start: Start) -> Self {
        let data = Data::Start(start);
        Self { event: HOP, data }
    }

    /// What it counts for in its ring.
    pub(super) fn bytes(&self) -> usize {
        let text = match &self.data {
            Data::Written(text) => text.len(),
            Data::Start(_) => START_BYTES,
            Data::LeftOut => 0,
        };
        text + ENTRY_BYTES
    }

    /// Leaves only its place.
    pub(super) fn leave_out(&mut self) {
        self.data = Data::LeftOut;
    }

    /// The record, if it was not left out. A start is written now, and stays as it is from then on.
    pub(super) fn text(&mut self) -> Option<&str> {
        if let Data::Start(start) = &self.data {
            self.data = start.written().map_or(Data::LeftOut, Data::Written);
        }
        match &self.data {
            Data::Written(text) => Some(text),
            _ => None,
        }
    }
}
