//! Code in the documentation is an excerpt of source that is compiled and run: the same, line by line.
//!
//! A line `<!-- include: path#region -->` stands before a fenced block; the block holds the lines of that file between
//! `// region: name` and `// endregion: name` without their common indentation. `UPDATE_DOCS=1` writes them there.
//!
//! In the README of a crate a line `<!-- dependencies -->` stands before a block of what a workspace must declare that takes
//! a copy of the crate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The variable that has documents written instead of checked.
pub(crate) const UPDATE: &str = "UPDATE_DOCS";
const DEPENDENCIES: &str = "<!-- dependencies -->";

pub(crate) fn are_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let mut stale = Vec::new();
    let mut excerpts = 0;
    for document in pages(root) {
        let text = read(&document);
        let (fresh, count) = refreshed(&text, &document, root);
        excerpts += count;
        if count == 0 || fresh == text {
            continue;
        }
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&document, fresh).expect("a document that can be written");
        } else {
            stale.push(document);
        }
    }
    assert!(excerpts > 0, "excerpts are where they are looked for");
    assert!(
        stale.is_empty(),
        "not what the source says: {stale:?}; {UPDATE}=1 cargo test -p scenarios docs_show_the_source writes them anew"
    );
}

/// The document with its excerpts as the sources have them now, and how many there are.
fn refreshed(text: &str, document: &Path, root: &Path) -> (String, usize) {
    let (mut fresh, mut count) = (Vec::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        fresh.push(line.to_owned());
        if !is_mark(line) {
            continue;
        }
        count += 1;
        let fence = lines.next().unwrap_or_default();
        let place = || format!("{}: {line}", document.display());
        assert!(fence.starts_with("```"), "{}: no block follows", place());
        let shown: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        assert!(
            !shown.iter().any(|line| is_mark(line)),
            "{}: its block does not end",
            place()
        );
        fresh.push(fence.to_owned());
        match included(line) {
            Some(source) => {
                let (path, name) = source
                    .split_once('#')
                    .unwrap_or_else(|| panic!("{}: path#region is wanted", place()));
                fresh.extend(region(&read(&root.join(path)), name, &place()));
            }
            None => fresh.extend(dependencies(document, root)),
        }
        fresh.push("```".to_owned());
    }
    (fresh.join("\n") + "\n", count)
}

fn is_mark(line: &str) -> bool {
    included(line).is_some() || line == DEPENDENCIES
}

fn included(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- include: ")?.strip_suffix(" -->")
}

/// The lines of a region, without their common indentation.
fn region(source: &str, name: &str, place: &str) -> Vec<String> {
    let mark = |line: &str, word: &str| {
        let comment = line.trim_start().trim_start_matches(['/', '#', '-']);
        comment.trim() == format!("{word}: {name}")
    };
    let mut after = source.lines().skip_while(|line| !mark(line, "region"));
    assert!(after.next().is_some(), "{place}: there is no such region");
    let mut ended = false;
    let lines: Vec<&str> = after
        .take_while(|line| {
            ended = mark(line, "endregion");
            !ended
        })
        .collect();
    assert!(ended, "{place}: the region does not end");
    let indent = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or_else(|| panic!("{place}: the region is empty"));
    let without_indent = |line: &&str| line.get(indent..).unwrap_or_default().to_owned();
    lines.iter().map(without_indent).collect()
}

/// The lines of the root manifest that the crate beside `readme` needs, and those that its crates of ours need.
fn dependencies(readme: &Path, root: &Path) -> Vec<String> {
    let workspace = read(&root.join("Cargo.toml"));
    let declared = section(&workspace, |name| name == "workspace.dependencies");
    let mut needed = BTreeSet::new();
    let mut crates = vec![readme.parent().expect("a crate").to_owned()];
    while let Some(directory) = crates.pop() {
        let manifest = read(&directory.join("Cargo.toml"));
        let wanted = section(&manifest, |name| {
            matches!(name, "dependencies" | "build-dependencies")
        });
        let taken = wanted.into_iter().filter(|entry| !is_left_out(entry));
        for name in taken.map(key) {
            let line = declared.iter().find(|line| key(line) == name);
            let line = line.unwrap_or_else(|| panic!("{name} is declared in the workspace"));
            if needed.insert(name.to_owned())
                && let Some((_, path)) = line.split_once("path = \"")
            {
                crates.push(root.join(path.split('"').next().unwrap_or_default()));
            }
        }
    }
    let mut lines = vec!["[workspace.dependencies]".to_owned()];
    let of_crate = declared.iter().filter(|line| needed.contains(key(line)));
    lines.extend(of_crate.map(|line| (*line).to_owned()));
    lines
}

/// Whether a copy does without a dependency: that of crates on what a service starts with, for services that start with it.
fn is_left_out(entry: &str) -> bool {
    key(entry) == "chassis" && entry.contains("optional = true")
}

/// The entries of the tables of a manifest whose name is `wanted`; each is a line of its own.
fn section(manifest: &str, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut is_wanted = false;
    let mut entries = Vec::new();
    for line in manifest.lines() {
        match line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            Some(name) => is_wanted = wanted(name),
            None if is_wanted && line.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                entries.push(line);
            }
            None => {}
        }
    }
    entries
}

fn key(entry: &str) -> &str {
    entry.split(['.', ' ', '=']).next().unwrap_or_default()
}

/// Every page of the repository: a mark in any of them is kept to.
pub(crate) fn pages(root: &Path) -> Vec<PathBuf> {
    let folders = ["crates", "deploy", "docs", "services"];
    let below = folders.map(|folder| markdown(&root.join(folder)));
    let mut pages = below.concat();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|page| root.join(page)));
    pages
}

fn markdown(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(markdown(&path));
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
    found
}

pub(crate) fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
