//! The file that keeps what was dropped.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use messaging::MessagingError;
use messaging::dead_letters::DeadLetter;

use super::screen;
use crate::failure::Failure;

/// A line of JSON for each letter, appended.
pub(super) struct File {
    file: fs::File,
    path: PathBuf,
}

impl File {
    /// Opens it, or makes it for its owner alone: letters hold what customers wrote.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let options = fs::File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        let file = options.map_err(|error| {
            Failure::new(format!("{} cannot be written: {error}", path.display()))
        })?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Returns when the letter is on the disk.
    pub(super) fn keep(&mut self, letter: &DeadLetter) -> Result<(), MessagingError> {
        let mut line = screen::whole(letter).to_string();
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| {
                MessagingError::Unavailable(format!(
                    "{} cannot be written: {error}",
                    self.path.display()
                ))
            })
    }
}
