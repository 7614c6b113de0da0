//! Files and directories that only their owner reads.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A new directory, mode 0700.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// The same, if there is none. Something else of this name is an error.
pub(super) fn ensure_directory(path: &Path) -> io::Result<()> {
    match make_directory(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        done => done,
    }
}

/// What was made or renamed in this directory is on the disk when this returns, where the file system can be told so.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// A file to lock, for its owner only.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(SECRET)
        .open(path)
}

/// A new file that is on the disk when this returns. Keys: mode 0600; what all may know: 0644.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The mode of keys.
pub(super) const SECRET: u32 = 0o600;
/// The mode of certificates.
pub(super) const PUBLIC: u32 = 0o644;
