//! The data directory: made, opened to PostgreSQL's user, and held by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Failure;
use crate::places;

/// How long the holder gets to write its number after it took the lock.
const NUMBER_WAIT: Duration = Duration::from_millis(500);
const NUMBER_POLL: Duration = Duration::from_millis(10);
/// What others may do with root's data directory: pass through, for PostgreSQL's user, but not look around.
const PASS_THROUGH: u32 = 0o011;

/// The data directory, held until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and takes hold of it.
    ///
    /// `shared` says that another user's PostgreSQL will live in it.
    pub(crate) fn open(path: Option<&Path>, shared: bool) -> Result<Self, Failure> {
        let path = path.map_or_else(places::data, |path| Ok(path.to_owned()))?;
        make(&path, shared && places::is_root())
            .map_err(|error| cannot(&path, &format!("cannot be used: {error}")))?;
        let path =
            fs::canonicalize(&path).map_err(|e| cannot(&path, &format!("cannot be used: {e}")))?;
        let lock = hold(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn make(path: &Path, open_to_others: bool) -> io::Result<()> {
    if !path.is_dir() {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    if open_to_others {
        let mut permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & PASS_THROUGH != PASS_THROUGH {
            permissions.set_mode(permissions.mode() | PASS_THROUGH);
            fs::set_permissions(path, permissions)?;
        }
    }
    Ok(())
}

/// The lock is the operating system's, so a killed process leaves none; the number in the file is only
/// for the message.
fn hold(path: &Path) -> Result<File, Failure> {
    let name = path.join("agora.lock");
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name);
    let mut file = opened.map_err(|error| cannot(path, &format!("cannot be written: {error}")))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = holder(&mut file).map_or_else(
                || "another process".to_owned(),
                |number| format!("process {number}"),
            );
            return Err(cannot(path, &format!("is held by {holder}: stop that one")));
        }
        Err(TryLockError::Error(error)) => {
            return Err(cannot(path, &format!("cannot be locked: {error}")));
        }
    }
    let written = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(|error| cannot(path, &format!("cannot be written: {error}")))?;
    Ok(file)
}

fn holder(file: &mut File) -> Option<u32> {
    for _ in 0..NUMBER_WAIT.as_millis() / NUMBER_POLL.as_millis() {
        let mut text = String::new();
        file.rewind().ok()?;
        file.read_to_string(&mut text).ok()?;
        if let Ok(number) = text.trim().parse() {
            return Some(number);
        }
        std::thread::sleep(NUMBER_POLL);
    }
    None
}

fn cannot(path: &Path, what: &str) -> Failure {
    Failure::new(format!(
        "{} {what}, or choose another directory with --data-dir",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let top = tempfile::tempdir().expect("a directory");
        let path = top.path().join("data");
        let first = DataDir::open(Some(&path), false).expect("free");
        let second = DataDir::open(Some(&path), false)
            .expect_err("held")
            .to_string();
        assert!(
            second.contains(&format!("is held by process {}", std::process::id())),
            "{second}"
        );
        drop(first);
        DataDir::open(Some(&path), false).expect("free again");
    }

    #[test]
    fn nobody_else_may_look_in() {
        let top = tempfile::tempdir().expect("a directory");
        let path = top.path().join("data");
        let _held = DataDir::open(Some(&path), false).expect("free");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
