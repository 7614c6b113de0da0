//! What travelled with a hop: headers, and an event's data, by name.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::text::{allocated, cut};

/// The most details of a hop.
const DETAILS_MAX: usize = 24;

/// Names with their values, ordered by name. A list of texts without spare room: most of what a trace takes in memory is
/// this, and a map has nodes with room for eleven entries each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details(Box<[(Box<str>, Box<str>)]>);

impl Details {
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

/// As an admin port sends it. Long text is cut; of names that are the same then the first is kept.
impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(sent: D) -> Result<Self, D::Error> {
        sent.deserialize_map(Reader)
    }
}

/// Reads into the list itself: dozens of records come with each order, and a map between would be made only to be taken apart.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Details;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("texts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut sent: A) -> Result<Details, A::Error> {
        let text = |text: String| cut(text).into_boxed_str();
        let mut read = Vec::new();
        while let Some((name, value)) = sent.next_entry::<String, String>()? {
            read.push((text(name), text(value)));
            if read.len() == DETAILS_MAX {
                // A map has to be read to its end.
                while sent.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                break;
            }
        }
        read.sort_by(|(one, _), (other, _)| one.cmp(other));
        read.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Ok(Details(read.into_boxed_slice()))
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
    use serde_json::json;

    use super::*;

    /// From JSON in which they come in this order.
    fn read(details: &[(&str, &str)]) -> Details {
        let member = |(name, value): &(&str, &str)| format!("{}:{}", json!(name), json!(value));
        let members: Vec<_> = details.iter().map(member).collect();
        let sent = format!("{{{}}}", members.join(","));
        serde_json::from_str(&sent).unwrap()
    }

    #[test]
    fn what_is_too_much_is_passed_over() {
        let names: Vec<String> = (0..1000).rev().map(|n| format!("{n:03}")).collect();
        let details: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &**name)).collect();
        let values: Vec<String> = read(&details).values().map(str::to_owned).collect();
        assert_eq!(values.len(), DETAILS_MAX);
        assert_eq!(values[0], "976", "the first that came, in order");
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
