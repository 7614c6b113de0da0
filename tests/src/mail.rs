//! Reading the mails that were sent: the `.eml` files of a data directory, or what Mailpit has.

use std::path::Path;

use serde_json::Value;

use crate::shop::Shop;

/// Mails that Mailpit lists at once.
const PAGE: usize = 500;

/// What tells one mail from another.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Without its angle brackets.
    pub message_id: String,
    /// On one line.
    pub subject: String,
}

impl Mail {
    /// Reads both from a mail's source.
    ///
    /// # Panics
    /// When one is missing.
    #[must_use]
    pub fn parse(source: &str) -> Self {
        // A long header goes on in lines that begin with a space.
        let unfolded = source.replace("\r\n", "\n").replace("\n ", " ");
        let header = |name: &str| {
            let mut lines = unfolded.lines().take_while(|line| !line.is_empty());
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value
                .unwrap_or_else(|| panic!("no {name}: {source}"))
                .to_owned()
        };
        Self {
            message_id: header("Message-ID").trim_matches(['<', '>']).to_owned(),
            subject: header("Subject"),
        }
    }
}

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

/// The source of every mail that Mailpit at `base` finds for `query`, by its REST API. Nothing when Mailpit is too
/// busy with the mails that come in to answer: ask again.
///
/// # Panics
/// When Mailpit does not answer as documented.
#[must_use]
pub fn sources_in_mailpit(base: &str, query: &str) -> Option<Vec<String>> {
    let mailpit = Shop::new(base);
    let source = |message: &Value| {
        let id = message["ID"].as_str().expect("an ID");
        let path = format!("/api/v1/message/{id}/raw");
        let raw = mailpit.call("GET", &path, &[], None).ok()?;
        (raw.status == 200).then_some(raw.text)
    };
    found_in_mailpit(&mailpit, query)?
        .iter()
        .map(source)
        .collect()
}

/// The same of which only what a list shows is wanted: one call for hundreds.
///
/// # Panics
/// When Mailpit does not answer as documented.
#[must_use]
pub fn mails_in_mailpit(base: &str, query: &str) -> Option<Vec<Mail>> {
    let found = found_in_mailpit(&Shop::new(base), query)?;
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let mails = found.iter().map(|message| Mail {
        message_id: text(&message["MessageID"]),
        subject: text(&message["Subject"]),
    });
    Some(mails.collect())
}

fn found_in_mailpit(mailpit: &Shop, query: &str) -> Option<Vec<Value>> {
    let mut found = Vec::new();
    loop {
        let start = found.len();
        let list = format!("/api/v1/search?query={query}&start={start}&limit={PAGE}");
        let list = mailpit.call("GET", &list, &[], None).ok()?;
        let page = list.json["messages"].as_array()?;
        if page.is_empty() {
            return Some(found);
        }
        found.extend_from_slice(page);
    }
}
