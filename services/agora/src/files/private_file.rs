//! Files that only their owner may read, written atomically.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Writes JSON to `path` with mode 0600: into a temporary file that is then renamed, so that a reader never sees a partial file,
/// and a kill leaves the old one.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> io::Result<()> {
    let neighbour = path.with_extension("json.new");
    // An existing temporary file would keep its mode and owner, so it is removed first.
    match fs::remove_file(&neighbour) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&neighbour)?;
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&neighbour, path)
}

/// Removes all permissions of group and others from an open file; returns whether there were any.
pub(crate) fn close_to_others(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let mut permissions = metadata.permissions();
    // The mode of a device behind a link is not changed.
    let was_open = metadata.is_file() && permissions.mode() & OTHERS != 0;
    if was_open {
        permissions.set_mode(permissions.mode() & !OTHERS);
        file.set_permissions(permissions)?;
    }
    Ok(was_open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_to_others_is_not_written_to() {
        let top = tempfile::tempdir().expect("a directory");
        let path = top.path().join("admin.json");
        for name in ["admin.json", "admin.json.new"] {
            let open = top.path().join(name);
            fs::write(&open, "{}").expect("a file");
            fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).expect("a mode");
        }
        write_json(&path, &"secret").expect("to write");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
