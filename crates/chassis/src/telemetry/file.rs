//! A log file of limited size.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// The size at which a log file is rotated, in bytes. With the one old file, logs take at most twice that.
pub const LOG_FILE_MAX_BYTES: u64 = 10 * 1024 * 1024;

/// A log file of limited size: when it is full it is renamed to `<name>.1` (replacing the previous one) and a new one
/// begins. Only its owner may read it. Clones write to the same file.
#[derive(Clone)]
pub struct RotatingFile(Arc<Mutex<Inner>>);

struct Inner {
    path: PathBuf,
    max_bytes: u64,
    file: File,
    written: u64,
}

impl RotatingFile {
    /// Opens the file (created if it does not exist, continued otherwise) with [`LOG_FILE_MAX_BYTES`].
    ///
    /// # Errors
    /// Those of opening a file for appending.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::with_limit(path, LOG_FILE_MAX_BYTES)
    }

    /// Like [`open`](Self::open), with another limit in bytes.
    ///
    /// # Errors
    /// Those of opening a file for appending.
    pub fn with_limit(path: impl Into<PathBuf>, max_bytes: u64) -> io::Result<Self> {
        let path = path.into();
        let file = append(&path)?;
        let written = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Inner {
            path,
            max_bytes,
            file,
            written,
        }))))
    }
}

impl Inner {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.written > 0 && self.written + line.len() as u64 > self.max_bytes {
            // If the rotation fails, e.g. because the directory is gone, the old file is continued: a large log is
            // better than none.
            if let Ok(file) = rotate(&self.path) {
                self.file = file;
                self.written = 0;
            }
        }
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(())
    }
}

fn rotate(path: &Path) -> io::Result<File> {
    let mut old = path.as_os_str().to_owned();
    old.push(".1");
    std::fs::rename(path, old)?;
    append(path)
}

/// Opens a file for appending. Only its owner may read it, since a log contains names and addresses.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    close_to_others(&file)?;
    Ok(file)
}

/// Restricts a file that existed before, since it has kept its mode. (A link to a device is left alone.)
#[cfg(unix)]
fn close_to_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata()?;
    let mut permissions = metadata.permissions();
    if metadata.is_file() && permissions.mode() & 0o077 != 0 {
        permissions.set_mode(permissions.mode() & !0o077);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // tracing-subscriber writes whole lines, so that a rotation never cuts one.
        self.0.lock().write(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RotatingFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agora.log");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut log = RotatingFile::with_limit(&path, 10).unwrap();
        for _ in 0..2 {
            log.write_all(b"a line that fills it\n").unwrap();
        }
        for name in ["agora.log", "agora.log.1"] {
            let mode = dir.path().join(name).metadata().unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn keeps_one_old_file_and_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agora.log");
        let mut log = RotatingFile::with_limit(&path, 100).unwrap();
        for number in 0..50 {
            log.write_all(format!("line {number:04} 0123456789\n").as_bytes())
                .unwrap();
        }
        drop(log);
        // A restart continues the file instead of starting a new one.
        RotatingFile::with_limit(&path, 100)
            .unwrap()
            .write_all(b"after a restart\n")
            .unwrap();
        let new = std::fs::read_to_string(&path).unwrap();
        let old = std::fs::read_to_string(dir.path().join("agora.log.1")).unwrap();
        assert!(
            new.len() <= 100 && old.len() <= 100,
            "{} {}",
            new.len(),
            old.len()
        );
        assert!(new.ends_with("after a restart\n") && old.ends_with('\n'));
        assert!(new.contains("line 0049"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
