//! The documents of the interfaces are what the code makes, and nothing that was published is broken by a change.
//!
//! Each is made from the routes, or from the declared events, and compared with the file that is committed below
//! `docs/interfaces`. `UPDATE_DOCUMENTS=1 cargo test -p scenarios --test documents` writes the files anew. It refuses to write
//! what breaks a client of the file that is there, and names it: that needs a new version, or
//! `UPDATE_DOCUMENTS=breaking` before anybody has used it.

mod asyncapi;
mod breaking;
mod openapi;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// `1` writes the documents, `breaking` also those that break their readers.
const UPDATE: &str = "UPDATE_DOCUMENTS";
const COMMAND: &str = "UPDATE_DOCUMENTS=1 cargo test -p scenarios --test documents";

/// What a document says, and how two of its kind are compared.
struct Document {
    file: &'static str,
    made: Value,
    breaks: fn(&Value, &Value) -> Vec<String>,
}

/// Compares a document with the committed one; or writes it, where that is asked for.
fn check(document: &Document) {
    let path = root().join("docs/interfaces").join(document.file);
    let update = std::env::var(UPDATE).ok();
    let may_break = update.as_deref() == Some("breaking");
    let committed = match published(&path) {
        Err(_) if may_break => Value::Null,
        published => published.expect("the document that is published"),
    };
    let broken = (document.breaks)(&committed, &document.made);
    assert!(
        broken.is_empty() || may_break,
        "{}: this change breaks who uses what was published: {broken:#?}",
        document.file
    );
    if update.is_some() {
        let text = serde_json::to_string_pretty(&sorted(&document.made)).expect("JSON");
        std::fs::write(&path, text + "\n").expect("a file that can be written");
    } else {
        let differs = first_difference(&committed, &document.made, String::new());
        assert!(
            differs.is_none(),
            "{} is not what the code makes, first at {differs:?}. Write it anew: {COMMAND}",
            document.file
        );
    }
}

/// What was published before. One that is missing is no empty one: written anew it would break its readers without a word.
fn published(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|failed| {
        let path = path.display();
        format!("{path}: {failed}. Restore it; one that is new is written by {UPDATE}=breaking")
    })?;
    serde_json::from_slice(&text).map_err(|failed| format!("{}: {failed}", path.display()))
}

#[test]
fn a_document_that_is_missing_is_an_error() {
    let interfaces = root().join("docs/interfaces");
    published(&interfaces.join("openapi-missing.json")).unwrap_err();
    assert!(
        published(&interfaces.join("asyncapi.json"))
            .unwrap()
            .is_object()
    );
}

/// Where two documents differ first, as a JSON pointer.
fn first_difference(old: &Value, new: &Value, at: String) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names = old
                .keys()
                .chain(new.keys().filter(|name| !old.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let at = format!("{at}/{}", name.replace('/', "~1"));
                let (old, new) = (old.get(name), new.get(name));
                first_difference(old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null), at)
            })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .enumerate()
            .find_map(|(n, (old, new))| first_difference(old, new, format!("{at}/{n}"))),
        _ => (old != new).then_some(at),
    }
}

/// The same with the members in order: what serde_json keeps of their order depends on the features that others ask for.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members = members
                .into_iter()
                .map(|(name, value)| (name.clone(), sorted(value)));
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the workspace").to_owned()
}
