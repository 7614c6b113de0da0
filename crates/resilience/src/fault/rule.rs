//! A fault rule.

use std::time::Duration;

use crate::ConfigError;

/// A fault rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The target whose calls are affected: the name given to its [`FaultLayer`](super::FaultLayer).
    pub target: String,
    /// The share of calls that are affected: 0 to 100 %.
    pub percent: u8,
    /// The kind of fault.
    pub kind: Kind,
}

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The call starts this much later, which increases its latency.
    Delay(Duration),
    /// The call is not made, and fails at once with the failure of the layer.
    Fail,
    /// The call is not made and never answered, like a dead peer behind a live connection. Dropping the call ends it.
    Hang,
}

impl Rule {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.target.is_empty() {
            return Err(ConfigError::new("target", &self.target, "a target's name"));
        }
        if self.percent > 100 {
            return Err(ConfigError::new("percent", self.percent, "0 to 100"));
        }
        if self.kind == Kind::Delay(Duration::ZERO) {
            return Err(ConfigError::new("delay", Duration::ZERO, "more than 0 s"));
        }
        Ok(())
    }
}
