//! Members of the input objects in a document.
//!
//! One that is given twice makes the document invalid, as the specification has it. The library's parser keeps the last one without a
//! word, and whoever looked at the request before may have taken the other: as in a body of REST it is refused. It is looked for in
//! the text, since what is parsed has only one of them. Those of variables are JSON ([`chassis::extract::Document`]).

use std::collections::HashSet;

use super::refusal::Refusal;
use super::tokens::{Tokens, is_word};

/// A bracket that is open.
enum Open<'a> {
    /// Of arguments, or of definitions of variables: only within these are braces objects.
    Given,
    /// An object, with the members that it has so far.
    Object(HashSet<&'a [u8]>),
    /// A selection, or a list.
    Other,
}

/// Refuses a document with an input object that has a member twice.
///
/// The document was parsed before, so each bracket is closed by its own; and its tokens were counted, so few are open at a time.
///
/// # Errors
/// Names the member.
pub(super) fn check(document: &str) -> Result<(), Refusal> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut name: &[u8] = &[];
    for token in Tokens::of(document) {
        match token[0] {
            byte if is_word(byte) => name = token,
            b'(' => open.push(Open::Given),
            b'{' if open.iter().any(|open| matches!(open, Open::Given)) => {
                open.push(Open::Object(HashSet::new()));
            }
            b'{' | b'[' => open.push(Open::Other),
            b'}' | b')' | b']' => {
                open.pop();
            }
            // Within an object it is only behind the name of a member.
            b':' => {
                if let Some(Open::Object(members)) = open.last_mut()
                    && !members.insert(name)
                {
                    let name = String::from_utf8_lossy(name);
                    return Err(Refusal::new(format!("{name} is given more than once")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_given_once_in_each_object() {
        for twice in [
            "{ a(x: { b: 1, b: 2 }) }",
            "{ a(x: [{ b: 1 }, { c: 1 d: [{ b: 1 }] # c: d\n, c: -1.5 }]) }",
            "{ a(x: { b: { c: $c }, d: \"}\", \u{feff} b: null }) }",
            "query ($x: X = { b: B, c: [], b: B }) { a(x: $x) }",
        ] {
            assert!(check(twice).is_err(), "{twice}");
        }
        for once in [
            "{ a(x: { b: 1, c: { b: 1 } }) b: a(x: [{ b: 1 }, { b: 1 }]) }",
            "{ a(x: { b: \"b: 1\", c: b # b: 1\n d: 1.5 }) { b: c b: c } ... { b: c } }",
            "query ($b: B = { b: 1 }, $c: B = { b: 1 }) { a(b: $b, c: $c) @skip(if: true) { b } }",
        ] {
            assert!(check(once).is_ok(), "{once}");
        }
    }
}
