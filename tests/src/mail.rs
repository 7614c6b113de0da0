//! Reading the mails that were sent: the `.eml` files of a data directory, or what Mailpit has.

use std::path::Path;

use crate::shop::Shop;

/// Mails that Mailpit lists at once.
const PAGE: usize = 500;

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

/// The source of every mail that Mailpit at `base` has, by its REST API.
///
/// # Panics
/// When Mailpit does not answer as documented.
#[must_use]
pub fn all_in_mailpit(base: &str) -> Vec<String> {
    let mailpit = Shop::new(base);
    let mut all = Vec::new();
    loop {
        let start = all.len();
        let page = sources(
            &mailpit,
            &format!("/api/v1/messages?start={start}&limit={PAGE}"),
        );
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// The source of every mail that Mailpit at `base` has and that contains `needle`, by its REST API.
///
/// # Panics
/// When Mailpit does not answer as documented.
#[must_use]
pub fn in_mailpit(base: &str, needle: &str) -> Vec<String> {
    let mailpit = Shop::new(base);
    // Its search finds candidates (it splits words); which of them really contain the needle is seen here.
    let mut found = sources(
        &mailpit,
        &format!("/api/v1/search?query=%22{needle}%22&limit={PAGE}"),
    );
    found.retain(|mail| mail.contains(needle));
    found
}

/// The sources of the mails in one of Mailpit's lists.
fn sources(mailpit: &Shop, list: &str) -> Vec<String> {
    let list = mailpit.get(list, None).expect(200);
    let messages = list.json["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|message| message["ID"].as_str().expect("an ID"))
        .map(|id| mailpit.get(&format!("/api/v1/message/{id}/raw"), None))
        .map(|raw| raw.expect(200).text)
        .collect()
}
