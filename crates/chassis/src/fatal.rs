//! The error that ends a service, in one line.

use std::fmt;

/// Why a service cannot start or go on; always exactly one line.
///
/// Like `anyhow::Error` it takes any error with `?` and therefore is not one itself. It prints the
/// whole chain of causes, because the outermost text alone ("error communicating with database")
/// rarely says what to do. `Debug` prints the same line, so `fn main() -> Result<(), Fatal>` ends
/// with `Error: <the line>` and exit code 1.
pub struct Fatal(String);

impl Fatal {
    /// A custom message; line breaks become `; `.
    pub fn new(message: impl AsRef<str>) -> Self {
        Self(one_line(message.as_ref()))
    }

    /// Puts the failed action in front: `"loading keys: connection refused"`.
    #[must_use]
    pub fn context(self, doing: impl fmt::Display) -> Self {
        Self(one_line(&format!("{doing}: {}", self.0)))
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Fatal {
    fn from(error: E) -> Self {
        Self(one_line(&chain(&error)))
    }
}

/// The texts of an error and its causes, joined by `: `; a cause that its parent already quotes is
/// left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let part = next.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = next.source();
    }
    text
}

/// Joins the lines of a text by `; `.
pub(crate) fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_with_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot load\n the keys")]
        struct Outer(#[source] std::io::Error);
        let fatal = Fatal::from(Outer(std::io::Error::other("refused")));
        assert_eq!(fatal.to_string(), "cannot load; the keys: refused");
        assert_eq!(
            format!("{:?}", fatal.context("start")),
            "start: cannot load; the keys: refused"
        );
    }
}
