//! A sign-up: everything that is wrong with it is said at once.

use std::{fmt, ops::RangeInclusive};

use super::Email;

/// Characters of a name.
const NAME_CHARS: RangeInclusive<usize> = 1..=100;
/// Characters of a password. At least what NIST SP 800-63B asks for; no rules about which characters,
/// as it also asks. The upper limit bounds the work for a hash, and leaves room for a passphrase.
const PASSWORD_CHARS: RangeInclusive<usize> = 8..=128;

/// One thing that is wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field, as the request spells it.
    pub field: &'static str,
    /// What to do about it, as a sentence without a subject.
    pub description: &'static str,
}

/// How to address somebody. Not blank, no control characters: it ends up in mail headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// What to do about it, as a sentence without a subject.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("must not be blank");
        }
        if !NAME_CHARS.contains(&text.chars().count()) {
            return Err("must have at most 100 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain line breaks or other control characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password on its way to the hasher. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Checks a password that somebody chose.
    ///
    /// # Errors
    /// What to do about it, as a sentence without a subject.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.chars().count() {
            count if count < *PASSWORD_CHARS.start() => Err("must have at least 8 characters"),
            count if count > *PASSWORD_CHARS.end() => Err("must have at most 128 characters"),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// A password that somebody claims to be theirs: any text is worth a comparison.
    #[must_use]
    pub fn claimed(text: String) -> Self {
        Self(text)
    }

    /// What the hash is made of.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A sign-up that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Where to reach them.
    pub email: Email,
    /// How to address them.
    pub name: Name,
    /// What they will sign in with.
    pub password: Password,
}

impl NewUser {
    /// Parses all three fields.
    ///
    /// # Errors
    /// One violation for each bad field, in the order of the request.
    pub fn parse(email: &str, name: &str, password: &str) -> Result<Self, Vec<Violation>> {
        match (
            Email::parse(email),
            Name::parse(name),
            Password::parse(password),
        ) {
            (Ok(email), Ok(name), Ok(password)) => Ok(Self {
                email,
                name,
                password,
            }),
            (email, name, password) => Err([
                ("email", email.err()),
                ("name", name.err()),
                ("password", password.err()),
            ]
            .into_iter()
            .filter_map(|(field, error)| error.map(|description| Violation { field, description }))
            .collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let violations = NewUser::parse("nobody", " ", "short").unwrap_err();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["email", "name", "password"]);

        let violations = NewUser::parse("ada@example.com", "Ada", "short").unwrap_err();
        assert_eq!(
            violations,
            [Violation {
                field: "password",
                description: "must have at least 8 characters"
            }]
        );
    }

    #[test]
    fn lengths_count_characters() {
        assert!(Name::parse(&"ä".repeat(100)).is_ok());
        assert!(Name::parse(&"ä".repeat(101)).is_err());
        assert!(Password::parse(&"ä".repeat(7)).is_err());
        assert!(Password::parse(&"ä".repeat(8)).is_ok());
        assert!(Password::parse(&"ä".repeat(128)).is_ok());
        assert!(Password::parse(&"ä".repeat(129)).is_err());
    }

    #[test]
    fn names_are_fit_for_a_mail_header_and_for_the_database() {
        for bad in ["", "  ", "Ada\r\nBcc: eve@example.com", "Ada\0", "\u{85}"] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Name::parse("Ada Lovelace, Countess 👑").is_ok());
    }

    #[test]
    fn a_password_is_never_printed() {
        let new = NewUser::parse("ada@example.com", "Ada", "correct horse").unwrap();
        assert!(!format!("{new:?}").contains("horse"));
    }
}
