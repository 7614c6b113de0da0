//! Reading the mails that were sent: the `.eml` files of the data directory.

use std::path::Path;

/// The text of every mail in `directory` that contains `needle`.
///
/// # Panics
/// When the directory cannot be read although it exists.
#[must_use]
pub fn naming(directory: &Path, needle: &str) -> Vec<String> {
    if !directory.exists() {
        return Vec::new();
    }
    let files = std::fs::read_dir(directory).expect("the mail directory");
    files
        .map(|file| file.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "eml"))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .filter(|mail| mail.contains(needle))
        .collect()
}
