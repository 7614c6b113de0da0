//! Reading the mails that were sent: the `.eml` files of a data directory, or what Mailpit has.

use std::path::Path;

use crate::shop::Shop;

/// Mails that Mailpit lists at once.
const PAGE: usize = 500;
/// Mails that are read at the same time.
const READERS: usize = 16;

/// The text of every mail in `directory`.
///
/// # Panics
/// When the directory cannot be read although it exists.
#[must_use]
pub fn in_directory(directory: &Path) -> Vec<String> {
    if !directory.exists() {
        return Vec::new();
    }
    let files = std::fs::read_dir(directory).expect("the mail directory");
    files
        .map(|file| file.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "eml"))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .collect()
}

/// The source of every mail that Mailpit at `base` finds for `query`, by its REST API.
///
/// # Panics
/// When Mailpit does not answer as documented.
#[must_use]
pub fn in_mailpit(base: &str, query: &str) -> Vec<String> {
    let mailpit = Shop::new(base);
    let mut ids = Vec::new();
    loop {
        let start = ids.len();
        let list = format!("/api/v1/search?query={query}&start={start}&limit={PAGE}");
        let list = mailpit.get(&list, None).expect(200);
        let messages = list.json["messages"].as_array().expect("messages");
        let page = messages.iter().map(|message| &message["ID"]);
        ids.extend(page.map(|id| id.as_str().expect("an ID").to_owned()));
        if ids.len() == start {
            break;
        }
    }
    // Each is an answer of its own, and there can be thousands.
    std::thread::scope(|scope| {
        let read = |ids: &[String]| -> Vec<String> {
            let paths = ids.iter().map(|id| format!("/api/v1/message/{id}/raw"));
            let answers = paths.map(|path| mailpit.get(&path, None).expect(200));
            answers.map(|raw| raw.text).collect()
        };
        let share = ids.len().div_ceil(READERS).max(1);
        let readers: Vec<_> = ids
            .chunks(share)
            .map(|ids| scope.spawn(move || read(ids)))
            .collect();
        readers
            .into_iter()
            .flat_map(|reader| reader.join().expect("a reader"))
            .collect()
    })
}

/// How many mails Mailpit at `base` has.
///
/// # Panics
/// When Mailpit does not answer as documented.
#[must_use]
pub fn count_in_mailpit(base: &str) -> u64 {
    let list = Shop::new(base).get("/api/v1/messages?limit=1", None);
    list.expect(200).json["total"].as_u64().expect("a total")
}
