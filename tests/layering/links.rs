//! The links of the pages lead to what is there.

use std::path::Path;

use crate::repository::{below, package};

/// Folders with pages.
const FOLDERS: [&str; 4] = ["crates", "deploy", "docs", "services"];
/// Pages that are in none.
const PAGES: [&str; 2] = ["CONTRIBUTING.md", "README.md"];

/// What a page links to in the repository, without the part of it behind `#`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1);
    let places = targets.filter_map(|rest| rest.split([')', ' ', '#']).next());
    places.filter(|place| !place.is_empty() && !place.contains(':'))
}

#[test]
fn links_lead_to_what_is_there() {
    let root = package("docs", "..");
    let mut pages = Vec::new();
    for folder in FOLDERS {
        let files = below(folder, &["md"]).into_iter();
        pages.extend(files.map(|(file, text)| (format!("{folder}/{file}"), text)));
    }
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).expect(page);
        pages.push((page.to_owned(), text));
    }
    let (mut read, mut broken) = (0, Vec::new());
    for (page, text) in &pages {
        let folder = Path::new(page).parent().expect("a folder");
        for link in links(text) {
            read += 1;
            if !root.join(folder).join(link).exists() {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(read > 100, "links are where they are looked for");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn links_are_read() {
    let page =
        "[a](docs/a.md), [b](../b.md#part \"B\"), [here](#part), [far](https://example.org/c.md)";
    let found: Vec<_> = links(page).collect();
    assert_eq!(found, ["docs/a.md", "../b.md"]);
}
