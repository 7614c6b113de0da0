//! `docs/LOGGING.md` has each line that messaging and the outbox write to the log, with its level.

use std::collections::BTreeSet;
use std::path::Path;

use crate::repository::{package, rust_files};

const DOCUMENT: &str = "LOGGING.md";
const CRATES: [&str; 2] = ["messaging", "outbox"];
/// Levels that are written without asking for them.
const LEVELS: [&str; 3] = ["ERROR", "WARN", "INFO"];

/// The lines of a source, as `LEVEL text`.
fn written(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for level in LEVELS {
        // With the crate's name before it or without.
        let call = format!("{}!(", level.to_lowercase());
        for rest in source.split(&call).skip(1) {
            let text = text_of(rest).unwrap_or_else(|| panic!("no text in {call}{rest:.200}"));
            found.insert(format!("{level} {text}"));
        }
    }
    found
}

/// The text of a call: its last literal.
fn text_of(arguments: &str) -> Option<&str> {
    let (mut depth, mut text, mut from) = (1, None, None);
    for (at, c) in arguments.char_indices() {
        match (c, from) {
            ('"', Some(start)) => {
                text = arguments.get(start..at);
                from = None;
            }
            ('"', None) => from = Some(at + 1),
            ('(', None) => depth += 1,
            (')', None) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    text
}

/// The lines of the document's table, as `LEVEL text`.
fn documented(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let lines = cells.filter(|cells| cells.len() == 3 && LEVELS.contains(&cells[0]));
    let lines = lines.filter(|cells| cells[1].contains(' '));
    lines
        .map(|cells| format!("{} {}", cells[0], cells[1].trim_end_matches(" |")))
        .collect()
}

#[test]
fn logging_is_documented() {
    let mut all = BTreeSet::new();
    for name in CRATES {
        for source in rust_files(&package("crates", name)).values() {
            all.extend(written(source));
        }
    }
    let document = std::fs::read_to_string(package("docs", DOCUMENT)).expect(DOCUMENT);
    let documented = documented(document.split("\n## ").last().expect("a part"));
    let missing: Vec<_> = all.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&all).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/{DOCUMENT} lacks {missing:#?} and has {gone:#?}, which nobody writes"
    );
}

/// A filter that is named replaces the services' own, which keeps libraries quiet: one outage would be many lines.
#[test]
fn containers_log_what_services_log_by_themselves() {
    let compose = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docker-compose.yml");
    let compose = std::fs::read_to_string(compose).expect("docker-compose.yml");
    let lines = compose.lines().map(str::trim);
    let filters: Vec<_> = lines.filter(|line| line.starts_with("RUST_LOG")).collect();
    assert_eq!(filters, ["RUST_LOG: ${RUST_LOG:-}"]);
    let base = package("deploy", "kubernetes").join("base/kustomization.yaml");
    let base = std::fs::read_to_string(base).expect("kustomization.yaml");
    assert!(!base.contains("RUST_LOG="), "it names a filter");
}

#[test]
fn lines_of_the_log_are_found() {
    let source = "tracing::warn!(%error, at = f(x), \"it failed\");\ntracing::info!(\n    \"it (really) goes on\"\n);\
        \nwarn!(\"it is said briefly\");\ntracing::debug!(\"x\");";
    let list = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let lines: BTreeSet<_> = list(&[
        "INFO it (really) goes on",
        "WARN it failed",
        "WARN it is said briefly",
    ]);
    assert_eq!(written(source), lines);
    let table = "| level | line | what |\n|---|---|---|\n| WARN | it failed | x |\n| WARN | it is said briefly | x |\n| INFO | it (really) goes on | |\n";
    assert_eq!(documented(table), lines);
}
