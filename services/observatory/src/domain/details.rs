//! What travelled with a hop: headers, and an event's data, by name.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::text::{allocated, cut};

/// The most details of a hop.
const DETAILS_MAX: usize = 24;

/// Names with their values, ordered by name. A list of texts without spare room: most of what a trace takes in memory is
/// this, and a map has nodes with room for eleven entries each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details(Box<[(Box<str>, Box<str>)]>);

impl Details {
    /// Reads what an admin port sent. Long text is cut; of names that are the same then the first is kept.
    pub(super) fn read(sent: BTreeMap<String, String>) -> Self {
        let sent = sent.into_iter().take(DETAILS_MAX);
        let text = |text: String| cut(text).into_boxed_str();
        let mut read: Vec<_> = sent
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        read.sort_by(|(one, _), (other, _)| one.cmp(other));
        read.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self(read.into_boxed_slice())
    }

    /// The values, in the order of their names.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| &**value)
    }

    /// Its approximate size in memory beside the list itself, in bytes, with what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.0.iter();
        let texts = texts.map(|(name, value)| allocated(name) + allocated(value));
        size_of_val(&*self.0).next_multiple_of(16) + texts.sum::<usize>()
    }
}

/// As one object.
impl Serialize for Details {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (&**name, &**value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(details: &[(&str, &str)]) -> Details {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Details::read(details.iter().map(owned).collect())
    }

    #[test]
    fn a_dozen_details_take_little_more_than_their_text() {
        let names: Vec<String> = (0..12).map(|n| format!("ce_name_{n:02}")).collect();
        let details: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "value")).collect();
        let bytes = read(&details).bytes();
        assert!(bytes <= 12 * 64, "{bytes}");
        assert_eq!(read(&[]).bytes(), 0);
    }

    #[test]
    fn names_that_are_the_same_once_they_are_cut_are_one() {
        let long = "x".repeat(300);
        let details = read(&[
            (&format!("{long}a"), "first"),
            (&format!("{long}b"), "second"),
        ]);
        assert!(details.values().eq(["first"]));
        let shown = read(&[("b\u{7}", "2"), ("a", "1"), ("b", "3")]);
        let shown = serde_json::to_string(&shown).unwrap();
        assert!(
            shown.starts_with(r#"{"a":"1","b":"#) && shown.len() == 17,
            "{shown}"
        );
    }
}
