//! The uses of variables, bounded before any of them gets its value.
//!
//! A document has few tokens, but a variable can stand for thousands of values, and hundreds of uses of it for millions. We and the
//! library copy the value of a variable wherever it is used.

use std::collections::HashMap;

use async_graphql::{Value, Variables};

use super::refusal::Refusal;

/// The longest that all uses of variables are together, in bytes. Twice a body: a definition counts as a use, and a variable that is
/// used once can be as long as a body.
pub(super) const USES_MAX: usize = 64 * 1024;
/// The length of a value beside its text: at least itself and a comma are in a body.
const VALUE: usize = 2;

/// Refuses a document whose variables are longer in all of their places than [`USES_MAX`].
///
/// # Errors
/// Says so.
pub(super) fn check(document: &str, variables: &Variables) -> Result<(), Refusal> {
    let lengths: HashMap<&str, usize> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), length(value)))
        .collect();
    let longest = lengths.values().copied().max().unwrap_or_default();
    let mut all = 0_usize;
    for name in names(document) {
        let used = match name {
            // Something that is no part of it stands between `$` and the name.
            "" => longest,
            name => lengths.get(name).copied().unwrap_or_default(),
        };
        all = all.saturating_add(used);
    }
    if all > USES_MAX {
        return Err(Refusal::new(format!(
            "the variables are longer than {USES_MAX} bytes with each as often as it is used: use long ones once"
        )));
    }
    Ok(())
}

/// What follows each `$` directly. In a text or a comment it is no variable, but nobody writes the name of a long one there.
fn names(document: &str) -> impl Iterator<Item = &str> {
    document.split('$').skip(1).map(|after| {
        let end = after.find(|next: char| !(next.is_ascii_alphanumeric() || next == '_'));
        end.map_or(after, |end| &after[..end])
    })
}

/// About as long as it is in a body. How deep it is is bounded by the reader of JSON.
fn length(value: &Value) -> usize {
    let content: usize = match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.iter().map(length).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| name.as_str().len() + length(value))
            .sum(),
        _ => 0,
    };
    VALUE + content
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_refused(document: &str, variables: serde_json::Value) -> bool {
        check(document, &Variables::from_json(variables)).is_err()
    }

    #[test]
    fn a_variable_counts_wherever_it_is_used() {
        let document =
            |uses: usize| format!("query($a:[Int],$b:Int){{a(a:[{}])}}", "$a,".repeat(uses));
        // A quarter of what all may be.
        let list = json!({ "a": vec![0; USES_MAX / VALUE / 4], "b": 1 });
        for (uses, refused) in [(0, false), (1, false), (2, false), (3, true)] {
            assert_eq!(is_refused(&document(uses), list.clone()), refused, "{uses}");
        }
        let text = json!({ "a": { "b": "x".repeat(USES_MAX / 3) } });
        assert!(!is_refused("query($a:A){a(a:$a)}", text.clone()));
        for document in ["$a $a $a", "$a $ a $a", "$a$,a$#a\na"] {
            assert!(is_refused(document, text.clone()), "{document}");
        }
        assert!(!is_refused("$ab $ab $ab $a $", text));
        assert!(!is_refused(&"$a".repeat(300), json!({ "a": "0000" })));
    }
}
