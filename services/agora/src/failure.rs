//! Why the process ends early: the message and the exit code.

use std::fmt;
use std::process::ExitCode;

use chassis::Fatal;
use chassis::output::{EXIT_UNREAD, PrintError};

/// A message for the person at the terminal, and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Something that did not work: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
        }
    }

    /// A configuration that cannot be used: exit code 2.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }

    /// Whether there is nothing to tell: the command has ended since nobody reads what it prints.
    pub(crate) fn is_silent(&self) -> bool {
        self.code == EXIT_UNREAD
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Self {
            message: error.to_string(),
            code: error.exit_code(),
        }
    }
}

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Self {
        Self::new(fatal.to_string())
    }
}
