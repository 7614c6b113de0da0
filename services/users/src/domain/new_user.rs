//! A sign-up; all its errors are reported at once.

use std::{fmt, ops::RangeInclusive};

use contracts::limits::{NAME_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use contracts::text::{breaks_line, is_visible, turns_direction};

use super::Email;

/// The allowed number of characters of a password.
const PASSWORD_CHARS: RangeInclusive<usize> = PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX;

/// One error in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field, as the request spells it.
    pub field: &'static str,
    /// What has to be changed, as a sentence without a subject.
    pub description: &'static str,
}

/// The name with which to address a user. It needs a visible character, and must not contain control characters or
/// characters that change the direction of the text around them, since it appears in mail headers and on other users'
/// screens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// What has to be changed, as a sentence without a subject.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // Checked first, so that a text that is far too long is not examined further.
        if text.chars().nth(NAME_CHARS_MAX).is_some() {
            return Err("must have at most 100 characters");
        }
        if text.trim().is_empty() {
            return Err("must not be blank");
        }
        if text.chars().any(breaks_line) {
            return Err("must not contain line breaks or other control characters");
        }
        if text.chars().any(turns_direction) {
            return Err("must not contain characters that change the direction of text");
        }
        if !text.chars().any(is_visible) {
            return Err("must have at least one visible character");
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password to be hashed. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Checks a newly chosen password.
    ///
    /// # Errors
    /// What has to be changed, as a sentence without a subject.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.chars().take(PASSWORD_CHARS.end() + 1).count() {
            count if count < *PASSWORD_CHARS.start() => Err("must have at least 8 characters"),
            count if count > *PASSWORD_CHARS.end() => Err("must have at most 128 characters"),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// A password given at a sign-in, which may be any text.
    #[must_use]
    pub fn claimed(text: String) -> Self {
        Self(text)
    }

    /// The bytes to hash.
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

/// A valid sign-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The email address.
    pub email: Email,
    /// The name with which to address the user.
    pub name: Name,
    /// The password for later sign-ins.
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
        assert!(Name::parse(&"ä".repeat(NAME_CHARS_MAX)).is_ok());
        let longer = Name::parse(&"ä".repeat(NAME_CHARS_MAX + 1));
        assert_eq!(longer, Err("must have at most 100 characters"));
        assert_eq!(NAME_CHARS_MAX, 100, "as the message says");
        assert!(Password::parse(&"ä".repeat(7)).is_err());
        assert!(Password::parse(&"ä".repeat(8)).is_ok());
        assert!(Password::parse(&"ä".repeat(128)).is_ok());
        assert!(Password::parse(&"ä".repeat(129)).is_err());
    }

    #[test]
    fn names_are_fit_for_a_mail_header_and_for_the_database() {
        for bad in [
            "",
            "  ",
            "Ada\r\nBcc: eve@example.com",
            "Ada\0",
            "\u{85}",
            "Ada\u{2028}Eve",
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Name::parse("Ada Lovelace, Countess 👑").is_ok());
    }

    #[test]
    fn names_can_be_seen_and_turn_nothing_around() {
        for (what, bad) in [
            ("zero width", "\u{200B}\u{200D}\u{FEFF}"),
            ("spaces of all kinds", "\u{2003}\u{3000}\u{180E}"),
            ("a lone accent", "\u{0301}"),
            ("a Hangul filler", "\u{3164}"),
            ("Braille without a dot", "\u{2800}"),
            ("tags", "\u{E0041}\u{E0042}"),
            ("not a character", "\u{FFFF}"),
            ("an override", "Ada\u{202E}moc.live"),
            ("an isolate", "\u{2067}Ada\u{2069}"),
            ("a mark", "Ada\u{200F}"),
            ("a line separator", "\u{2028}"),
        ] {
            assert!(Name::parse(bad).is_err(), "{what}");
        }
        for good in ["王", "Zoë", "ﷺ", "क्‍ष", "👩‍🚀", "J", "עדה", "X Æ A-12", "?"]
        {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_megabyte_is_too_long() {
        let much = "x".repeat(1 << 20);
        let violations = NewUser::parse(&much, &much, &much).unwrap_err();
        let descriptions: Vec<_> = violations.iter().map(|one| one.description).collect();
        assert_eq!(
            descriptions,
            [
                "must have at most 254 characters",
                "must have at most 100 characters",
                "must have at most 128 characters"
            ]
        );
    }

    #[test]
    fn a_password_is_never_printed() {
        let new = NewUser::parse("ada@example.com", "Ada", "correct horse").unwrap();
        assert!(!format!("{new:?}").contains("horse"));
    }
}
