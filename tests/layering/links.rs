//! The links of the pages, and the paths that they name, lead to what is there.

use std::path::{Path, PathBuf};

use crate::repository::{below, package};

/// Folders with pages.
const FOLDERS: [&str; 4] = ["crates", "deploy", "docs", "services"];
/// Pages that are in none.
const PAGES: [&str; 2] = ["CONTRIBUTING.md", "README.md"];
/// How a path begins that is one from the top of the repository. Others are told from the place that is spoken of.
const FROM_TOP: [&str; 10] = [
    ".ci/",
    "crates/",
    "deploy/",
    "docs/",
    "proto/",
    "services/",
    "tests/examples/",
    "tests/layering",
    "tests/scenarios",
    "tests/src",
];
/// Stands for any of them.
const ANY: &str = "SERVICE";

fn root() -> PathBuf {
    package("docs", "..")
}

/// All pages, with their paths.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for folder in FOLDERS {
        let files = below(folder, &["md"]).into_iter();
        pages.extend(files.map(|(file, text)| (format!("{folder}/{file}"), text)));
    }
    for page in PAGES {
        let text = std::fs::read_to_string(root().join(page)).expect(page);
        pages.push((page.to_owned(), text));
    }
    pages
}

/// What a page links to in the repository, without the part of it behind `#`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1);
    let places = targets.filter_map(|rest| rest.split([')', ' ', '#']).next());
    places.filter(|place| !place.is_empty() && !place.contains(':'))
}

/// The paths from the top that a page names.
fn paths(page: &str) -> impl Iterator<Item = &str> {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    let spans = page.split('`').skip(1).step_by(2);
    spans.filter(move |span| {
        let is_path = span.chars().all(is_of_path) && !span.contains(ANY);
        is_path && FROM_TOP.iter().any(|top| span.starts_with(top))
    })
}

#[test]
fn links_lead_to_what_is_there() {
    let (mut read, mut broken) = (0, Vec::new());
    for (page, text) in &pages() {
        let folder = Path::new(page).parent().expect("a folder");
        for link in links(text) {
            read += 1;
            if !root().join(folder).join(link).exists() {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(read > 100, "links are where they are looked for");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn paths_that_pages_name_are_there() {
    let (mut read, mut gone) = (0, Vec::new());
    for (page, text) in &pages() {
        for path in paths(text) {
            read += 1;
            if !root().join(path).exists() {
                gone.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(read > 100, "paths are where they are looked for");
    assert!(gone.is_empty(), "{gone:#?}");
}

#[test]
fn links_are_read() {
    let page =
        "[a](docs/a.md), [b](../b.md#part \"B\"), [here](#part), [far](https://example.org/c.md)";
    let found: Vec<_> = links(page).collect();
    assert_eq!(found, ["docs/a.md", "../b.md"]);
}

#[test]
fn paths_are_read() {
    let page = "`crates/a/src/` and `src/b.rs`\n```sh\ncargo run # `docs/x.md` in `docs`\n```\n\
        `tests/it/c.rs`, `tests/src/d.rs`, `deploy/SERVICE.yaml`, `docs/e.md (a part)`";
    let found: Vec<_> = paths(page).collect();
    assert_eq!(found, ["crates/a/src/", "tests/src/d.rs"]);
}
