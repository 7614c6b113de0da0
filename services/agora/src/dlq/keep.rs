//! The file that keeps what was dropped.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
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
        let unwritable = |error: std::io::Error| {
            Failure::new(format!("{} cannot be written: {error}", path.display()))
        };
        let mut file = options.map_err(unwritable)?;
        if is_cut_off(path) {
            file.write_all(b"\n").map_err(unwritable)?;
        }
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

/// Whether the last line has no end: the disk was full, or the program was killed. Its letter was not dropped, and the next one must
/// not stand behind half of it.
fn is_cut_off(path: &Path) -> bool {
    // A pipe or a terminal has no end to look at.
    if !path.is_file() {
        return false;
    }
    let last = fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last)
    });
    // An empty file has no last byte.
    last.is_ok_and(|last| last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_stands_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dropped.jsonl");
        for (before, after) in [("", ""), ("{}\n", "{}\n"), ("{}\n{\"id", "{}\n{\"id\n")] {
            fs::write(&path, before).unwrap();
            File::open(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }
}
