//! `docs/promises.md` and `.ci/long` name tests that are there.

use std::collections::HashSet;

use crate::repository::{Files, below, package};

const DOCUMENT: &str = "promises.md";
/// Where tests are.
const FOLDERS: [&str; 3] = ["crates", "services", "tests"];

/// The names of functions, and the literals that can be one: a scenario is in a list, by its name.
fn known(source: &str) -> impl Iterator<Item = &str> {
    let functions = source.split("fn ").skip(1).map(|rest| {
        let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
        &rest[..end]
    });
    functions.chain(source.split('"').filter(|text| is_name(text)))
}

/// The tests that a document names, without what a scenario is played on.
fn named(document: &str) -> impl Iterator<Item = &str> {
    let spans = document.split('`').skip(1).step_by(2);
    let names = spans.filter_map(|span| span.split("::").next());
    names.filter(|name| is_name(name))
}

/// The names, or parts of names, by which a script has single tests played.
fn played(script: &str) -> impl Iterator<Item = &str> {
    let commands = script.lines().filter(|line| line.contains("cargo test "));
    let filters = commands.filter_map(|line| line.split_once(" -- ")?.1.split_whitespace().next());
    let names = filters.filter_map(|filter| filter.split([':', ';']).next());
    names.filter(|name| is_name(name))
}

fn is_name(text: &str) -> bool {
    text.contains('_') && text.chars().all(is_of_name)
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

fn sources() -> [Files; 3] {
    FOLDERS.map(|folder| below(folder, &["rs"]))
}

/// What is known of all sources.
fn all_known(sources: &[Files]) -> HashSet<&str> {
    let texts = sources.iter().flat_map(|files| files.values());
    texts.flat_map(|text| known(text)).collect()
}

#[test]
fn promises_are_proved_by_tests_that_are_there() {
    let sources = sources();
    let known = all_known(&sources);
    let document = std::fs::read_to_string(package("docs", DOCUMENT)).expect(DOCUMENT);
    let named: Vec<&str> = named(&document).collect();
    assert!(named.len() > 100, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !known.contains(**name))
        .collect();
    assert!(missing.is_empty(), "docs/{DOCUMENT} names {missing:?}");
}

/// A filter that fits no name plays nothing, and is green.
#[test]
fn the_long_run_plays_tests_that_are_there() {
    let sources = sources();
    let known = all_known(&sources);
    let script = std::fs::read_to_string(package(".ci", "long")).expect(".ci/long");
    let played: Vec<&str> = played(&script).collect();
    assert!(played.len() > 5, "{played:?}");
    let is_there = |part: &&&str| known.iter().any(|name| name.contains(**part));
    let missing: Vec<_> = played.iter().filter(|part| !is_there(part)).collect();
    assert!(missing.is_empty(), ".ci/long plays {missing:?}");
}

#[test]
fn names_of_tests_are_read() {
    let page = "| orders `it_sells_once`, `it_is_told::compose`ᶜ (`cargo test`, `tests/x_y.rs`, `Retry`) |";
    let named: Vec<_> = named(page).collect();
    assert_eq!(named, ["it_sells_once", "it_is_told"]);
    let source =
        "async fn it_sells_once() {}\nfn of<T>() {}\n(\"it_is_told\", told, \"it is not\");";
    let known: Vec<_> = known(source).collect();
    assert_eq!(known, ["it_sells_once", "of", "it_is_told"]);
    let script = "A_B=1 cargo test -p x -- it_sells_once::embedded\nf() { cargo test -- it_is_told; }\n\
        cargo test -- ::compose\ncargo run -p x -- it_runs\n";
    let played: Vec<_> = played(script).collect();
    assert_eq!(played, ["it_sells_once", "it_is_told"]);
}
