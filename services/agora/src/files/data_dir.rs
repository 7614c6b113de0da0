//! The data directory: created, made accessible to PostgreSQL's user, and locked by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

use super::{places, private_file};
use crate::failure::Failure;

/// How long the holder of the lock may take to write its process id.
const NUMBER_WAIT: Duration = Duration::from_millis(500);
const NUMBER_POLL: Duration = Duration::from_millis(10);
/// The mode for others of root's data directory: they may enter it, which PostgreSQL's user needs, but not list it.
const PASS_THROUGH: u32 = 0o011;

/// The data directory, locked until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, and locks it.
    ///
    /// `shared`: PostgreSQL will run in it as another user.
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

/// Locks by the operating system, which releases the lock of a killed process; the process id in the file is only for the
/// message.
fn hold(path: &Path) -> Result<File, Failure> {
    let name = path.join("agora.lock");
    let failed = |error: io::Error| cannot(path, &format!("cannot be written: {error}"));
    let lock_failed = |error: io::Error| cannot(path, &format!("cannot be locked: {error}"));
    let (mut file, was_open) = open_lock(&name).map_err(failed)?;
    let mut taken = try_lock(&file).map_err(lock_failed)?;
    let mut number = None;
    if !taken {
        let known;
        (number, known) = holder(&mut file);
        // Everybody who can read a file can lock it. A marketplace is recognised by its process id; any other holder of a file that
        // was readable by others blocks us on purpose, so a new file replaces it.
        if was_open && !known {
            fs::remove_file(&name).map_err(failed)?;
            (file, _) = open_lock(&name).map_err(failed)?;
            taken = try_lock(&file).map_err(lock_failed)?;
        }
    }
    if !taken {
        let holder = number.map_or_else(
            || "another process".to_owned(),
            |number| format!("process {number}"),
        );
        return Err(cannot(path, &format!("is held by {holder}: stop that one")));
    }
    let written = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(|error| cannot(path, &format!("cannot be written: {error}")))?;
    Ok(file)
}

/// Opens the lock file, readable by the owner only; also returns whether others could read it before, as earlier versions
/// allowed.
fn open_lock(name: &Path) -> io::Result<(File, bool)> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(name)?;
    let was_open = private_file::close_to_others(&file)?;
    Ok((file, was_open))
}

/// Whether the lock was taken.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The process id in the file, and whether that process may hold the lock. A process that has just taken it gets a moment to
/// write its id.
fn holder(file: &mut File) -> (Option<u32>, bool) {
    let mut seen = None;
    for _ in 0..NUMBER_WAIT.as_millis() / NUMBER_POLL.as_millis() {
        seen = number(file).or(seen);
        if seen.is_some_and(|number| is_of_owner(number, file)) {
            return (seen, true);
        }
        std::thread::sleep(NUMBER_POLL);
    }
    (seen, false)
}

fn number(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether a process is alive and has the owner of the file. Without `/proc` every living process counts.
fn is_of_owner(number: u32, file: &File) -> bool {
    if Path::new("/proc/self").exists() {
        let (process, file) = (fs::metadata(format!("/proc/{number}")), file.metadata());
        return process.is_ok_and(|process| file.is_ok_and(|file| file.uid() == process.uid()));
    }
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
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
    fn the_lock_is_closed_to_others() {
        let top = tempfile::tempdir().expect("a directory");
        let lock = top.path().join("agora.lock");
        let mode = || fs::metadata(&lock).expect("metadata").permissions().mode() & 0o777;
        drop(DataDir::open(Some(top.path()), false).expect("free"));
        assert_eq!(mode(), 0o600);
        // One of an earlier version is closed, too.
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).expect("a mode");
        drop(DataDir::open(Some(top.path()), false).expect("free"));
        assert_eq!(mode(), 0o600);
    }

    /// Whoever could read the file of an earlier version may hold a lock on it for ever.
    #[test]
    fn a_strangers_lock_keeps_nobody_out() {
        let top = tempfile::tempdir().expect("a directory");
        let name = top.path().join("agora.lock");
        // The number of a process that is long gone.
        fs::write(&name, "4194304999").expect("a file");
        fs::set_permissions(&name, fs::Permissions::from_mode(0o644)).expect("a mode");
        let strangers = File::open(&name).expect("readable");
        strangers.lock().expect("a lock");
        let held = DataDir::open(Some(top.path()), false).expect("not kept out");
        // And now it is held by us.
        let second = DataDir::open(Some(top.path()), false)
            .expect_err("held")
            .to_string();
        assert!(
            second.contains(&format!("process {}", std::process::id())),
            "{second}"
        );
        drop(held);
    }

    /// A holder of ours is believed, whatever the mode of its file is.
    #[test]
    fn an_earlier_versions_lock_holds() {
        let top = tempfile::tempdir().expect("a directory");
        let held = DataDir::open(Some(top.path()), false).expect("free");
        let lock = top.path().join("agora.lock");
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).expect("a mode");
        DataDir::open(Some(top.path()), false).expect_err("held");
        drop(held);
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
