//! The error of an invalid configuration.

use std::fmt;

/// An invalid configuration, in one line: the field, its value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    problem: String,
}

impl ConfigError {
    /// The error that `field` has `value`, but only `allowed` (a phrase such as "1 to 100") is valid.
    pub fn new(field: &'static str, value: impl fmt::Debug, allowed: impl fmt::Display) -> Self {
        Self {
            field,
            problem: format!("is {value:?}; allowed is {allowed}"),
        }
    }

    /// The field, by its name in the configuration struct.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

impl std::error::Error for ConfigError {}
