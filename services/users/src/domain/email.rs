//! Email addresses.

use std::fmt;

use contracts::limits::EMAIL_CHARS_MAX;

/// The most characters before the `@` (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_CHARS: usize = 64;
/// The most characters of one label of a domain name (RFC 1035 section 2.3.4).
const MAX_LABEL_CHARS: usize = 63;

/// An address of the form that browsers accept for `<input type=email>`: ASCII, no quotes, no comments. Only a
/// delivered mail proves more.
///
/// Since it is ASCII, comparison without case has the same result in Rust and in PostgreSQL's `lower()`, and nothing in
/// it can break out of a mail header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Parses an address.
    ///
    /// # Errors
    /// What has to be changed, as a sentence without a subject.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // Characters and not bytes, as the message says. Anything but ASCII is refused below.
        if text.chars().count() > EMAIL_CHARS_MAX {
            return Err("must have at most 254 characters");
        }
        match text.rsplit_once('@') {
            Some((local, domain)) if is_local(local) && is_domain(domain) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("must be an email address, like name@example.com"),
        }
    }

    /// As it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is a valid local part: words of RFC 5322 `atext`, joined by single dots.
fn is_local(text: &str) -> bool {
    let is_atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    text.len() <= MAX_LOCAL_CHARS
        && text
            .split('.')
            .all(|word| !word.is_empty() && word.chars().all(is_atext))
}

/// Whether `text` is a host name. One label is enough: `admin@localhost` exists.
fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| {
        (1..=MAX_LABEL_CHARS).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in [
            "ada@example.com",
            "Ada.Lovelace+shop@sub.example.co.uk",
            "o'brien@example.com",
            "admin@localhost",
            &format!("{}@example.com", "a".repeat(64)),
        ] {
            assert_eq!(Email::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn not_addresses() {
        let long_label = format!("a@{}.com", "b".repeat(64));
        let long_local = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@@example.com",
            "a da@example.com",
            " ada@example.com",
            "ada@example.com\n",
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@exa mple.com",
            "ada@-example.com",
            "ada@example..com",
            "ada@.example.com",
            ".ada@example.com",
            "a..da@example.com",
            "ada.@example.com",
            "\"ada\"@example.com",
            "ada@example.com\0",
            "adä@example.com",
            &long_label,
            &long_local,
        ] {
            assert_eq!(
                Email::parse(bad),
                Err("must be an email address, like name@example.com"),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn the_longest_address() {
        let longest = format!("{}@{}.example", "a".repeat(60), ["b"; 93].join("."));
        assert_eq!(longest.len(), EMAIL_CHARS_MAX);
        assert!(Email::parse(&longest).is_ok());
        assert_eq!(
            Email::parse(&format!("a{longest}")),
            Err("must have at most 254 characters")
        );
        assert_eq!(EMAIL_CHARS_MAX, 254, "as the message says");
    }
}
