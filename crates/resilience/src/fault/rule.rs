//! What is broken.

use std::time::Duration;

use crate::ConfigError;

/// One thing that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The target whose calls are broken: the name that its [`FaultLayer`](super::FaultLayer) has.
    pub target: String,
    /// The share of calls that are broken: 0 to 100 %.
    pub percent: u8,
    /// How they are broken.
    pub kind: Kind,
}

/// How a call is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It begins so much later. Its latency grows by that.
    Delay(Duration),
    /// It is not made, and fails at once with what the layer has for that.
    Fail,
    /// It is not made, and no answer ever comes: what a dead peer behind a live connection looks like. Dropping the
    /// call ends it.
    Hang,
}

impl Rule {
    /// Whether it can be obeyed.
    ///
    /// # Errors
    /// Names the first field that cannot.
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
