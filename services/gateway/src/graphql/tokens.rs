//! The lexical limits of a document, checked before it is parsed.
//!
//! The library's parser recurses for each bracket, so a document of brackets overflows the stack, and it builds the whole tree
//! before anything can be checked. This pass needs a counter for each limit, and no tree.

use super::refusal::Refusal;

/// The most tokens of a document.
pub(super) const TOKENS_MAX: usize = 1_000;
/// The deepest nesting of brackets of any kind. The deepest useful document is [introspection](super::weight::DEPTH_MAX).
pub(super) const BRACKETS_MAX: usize = 32;
/// The longest name or number, in bytes. The library computes the edit distance of unknown names to known ones.
pub(super) const WORD_BYTES_MAX: usize = 128;
/// The most directives of a document.
pub(super) const DIRECTIVES_MAX: usize = 50;

/// Refuses a document with too many tokens, brackets or directives. Invalid tokens are left to the parser.
///
/// # Errors
/// Names the limit.
pub(super) fn check(document: &str) -> Result<(), Refusal> {
    let (mut tokens, mut depth, mut directives) = (0, 0_usize, 0);
    for token in Tokens::of(document) {
        match token[0] {
            byte if is_word(byte) && token.len() > WORD_BYTES_MAX => {
                return Err(Refusal::limit("bytes in a name", WORD_BYTES_MAX));
            }
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            b'@' => directives += 1,
            _ => {}
        }
        tokens += 1;
        for (count, max, what) in [
            (tokens, TOKENS_MAX, "tokens"),
            (depth, BRACKETS_MAX, "brackets in brackets"),
            (directives, DIRECTIVES_MAX, "directives"),
        ] {
            if count > max {
                return Err(Refusal::limit(what, max));
            }
        }
    }
    Ok(())
}

/// The tokens of a document; none is empty. A byte that begins no token is one of its own.
pub(super) struct Tokens<'a>(&'a [u8]);

impl<'a> Tokens<'a> {
    pub(super) fn of(document: &'a str) -> Self {
        Self(document.as_bytes())
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let length = match *self.0.first()? {
                b' ' | b',' | b'\t' | b'\n' | b'\r' => {
                    self.0 = &self.0[1..];
                    continue;
                }
                b'#' => {
                    self.0 = &self.0[comment(self.0)..];
                    continue;
                }
                b'"' => string(self.0),
                byte if is_word(byte) => word(self.0),
                _ => 1,
            };
            let (token, rest) = self.0.split_at(length);
            self.0 = rest;
            return Some(token);
        }
    }
}

/// Whether it can be in a name or in a number.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

/// The length of the name or number that begins here.
fn word(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| !is_word(*byte));
    end.unwrap_or(text.len())
}

/// The length of the comment that begins here, without the line end.
fn comment(text: &[u8]) -> usize {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    text.iter().position(is_end).unwrap_or(text.len())
}

/// The length of the string that begins here; the rest of the text if it does not end.
fn string(text: &[u8]) -> usize {
    let quotes: &[u8] = match text {
        [b'"', b'"', b'"', ..] => b"\"\"\"",
        _ => b"\"",
    };
    let mut at = quotes.len();
    while at < text.len() {
        let here = &text[at..];
        if here.starts_with(b"\\\"\"\"") && quotes.len() == 3 {
            at += 4;
        } else if here[0] == b'\\' && quotes.len() == 1 {
            at += 2;
        } else if here.starts_with(quotes) {
            return at + quotes.len();
        } else if quotes.len() == 1 && matches!(here[0], b'\n' | b'\r') {
            // Not a valid string, which the parser reports. What follows is counted.
            return at;
        } else {
            at += 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(document: &str) -> bool {
        check(document).is_err()
    }

    #[test]
    fn brackets_are_counted_where_they_are_brackets() {
        let deep = |open: &str, close: &str, levels: usize| {
            format!("{{a(x:{}{})}}", open.repeat(levels), close.repeat(levels))
        };
        for (open, close) in [("[", "]"), ("{a:", "}"), ("(", ")")] {
            assert!(!refused(&deep(open, close, BRACKETS_MAX - 2)), "{open}");
            assert!(refused(&deep(open, close, BRACKETS_MAX - 1)), "{open}");
        }
        // Neither in strings nor in comments.
        let brackets = "{".repeat(1_000);
        for document in [
            format!("{{a(x:\"{brackets}\")}}"),
            format!("{{a(x:\"\\\"{brackets}\")}}"),
            format!("{{a(x:\"\"\"\"{brackets}\\\"\"\" \" {brackets}\n\"\"\")}}"),
            format!("{{a}}#{brackets}"),
        ] {
            assert!(!refused(&document), "{document}");
        }
        // A string that is none hides nothing.
        for document in [
            format!("{{a(x:\"\n{brackets}"),
            format!("{{a(x:\"\"{brackets}"),
            format!("{{a(x:\"\"\"\"\"\"{brackets}"),
            format!("#\n{brackets}"),
            format!("#\r{brackets}"),
        ] {
            assert!(refused(&document), "{document}");
        }
    }

    #[test]
    fn each_limit_is_refused_beyond_it_and_not_at_it() {
        let tokens = |count: usize| "a ".repeat(count);
        assert!(!refused(&tokens(TOKENS_MAX)));
        assert!(refused(&tokens(TOKENS_MAX + 1)));
        assert!(!refused(&"@a ".repeat(DIRECTIVES_MAX)));
        assert!(refused(&"@a ".repeat(DIRECTIVES_MAX + 1)));
        assert!(!refused(&"a".repeat(WORD_BYTES_MAX)));
        assert!(refused(&"a".repeat(WORD_BYTES_MAX + 1)));
        assert!(refused(&"\u{feff}".repeat(TOKENS_MAX + 1)));
        assert!(!refused("\"a\\"));
        assert!(!refused(""));
    }
}
