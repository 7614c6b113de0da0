//! Crates that somebody copies: whether a workspace with the lines of a crate's README, and nothing else of ours, is one that
//! cargo takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::modules::modules;
use crate::repository::{package, rust_files};

/// The crates that are worth a copy without the chassis of a service.
const COPIED: [&str; 6] = [
    "backoff",
    "client",
    "envelope",
    "messaging",
    "outbox",
    "resilience",
];
/// What stands in a README before the lines.
const MARK: &str = "<!-- dependencies -->\n```toml\n";
/// What a copy leaves out.
const FOR_TESTS: [&str; 3] = ["[dev-dependencies]", "[[test]]", "[[bench]]"];
/// What goes along with each pattern.
const WITH_EACH: &str = "classify";

#[test]
fn the_lines_of_its_readme_are_all_that_a_copied_crate_needs() {
    for name in COPIED {
        let lines = lines_for(name);
        assert!(!lines.contains("crates/chassis"), "{name}: {lines}");
        let copy = tempfile::tempdir().expect("a directory");
        let manifest = format!("{}\n{lines}", shared());
        std::fs::write(copy.path().join("Cargo.toml"), manifest).expect("to write");
        for name in std::iter::once(name).chain(crates_in(&lines)) {
            copy_manifest(name, copy.path());
        }
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
            .current_dir(copy.path())
            .output()
            .expect("cargo starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
    }
}

/// Whoever copies the breaker counts what they have.
#[test]
fn the_breaker_has_as_many_files_as_its_walk_says() {
    let folder = package("crates", "resilience").join("src/circuit_breaker");
    let count = std::fs::read_dir(folder).expect("the breaker").count();
    let walks = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("CONTRIBUTING.md");
    let said = format!("the {count} files of `circuit_breaker/`");
    assert!(read(&walks).contains(&said), "it does not say {said:?}");
}

/// Whoever takes one pattern reads in the map which others it needs.
#[test]
fn a_pattern_needs_what_its_readme_says() {
    let resilience = package("crates", "resilience");
    let readme = read(&resilience.join("README.md"));
    let said: BTreeMap<String, BTreeSet<String>> = readme.lines().filter_map(needs_said).collect();
    assert!(said.contains_key("balance"), "its map has no patterns");
    let mut needed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, module) in modules(&rust_files(&resilience)) {
        let pattern = path.into_iter().next();
        let Some(pattern) = pattern.filter(|name| said.contains_key(name)) else {
            continue;
        };
        let needs = needed.entry(pattern.clone()).or_default();
        let imports = module.source.imports.into_iter();
        let imports = imports.map(|import| import.path);
        for used in imports.chain(module.source.paths) {
            if let [root, other, ..] = &used[..]
                && root == "crate"
                && said.contains_key(other)
                && *other != pattern
                && other != WITH_EACH
            {
                needs.insert(other.clone());
            }
        }
    }
    assert_eq!(needed, said);
}

/// A row of the map of patterns: its module, and those in its last cell.
fn needs_said(line: &str) -> Option<(String, BTreeSet<String>)> {
    let (module, cells) = line.strip_prefix("| `")?.split_once("` | ")?;
    let (_, needs) = cells.strip_suffix(" |")?.rsplit_once(" |")?;
    let needs = needs.split('`').skip(1).step_by(2);
    Some((module.to_owned(), needs.map(str::to_owned).collect()))
}

/// What the README of a crate tells to put into the root's manifest.
fn lines_for(name: &str) -> String {
    let readme = read(&package("crates", name).join("README.md"));
    let lines = readme
        .split_once(MARK)
        .and_then(|(_, after)| after.split_once("```"));
    lines.expect("its lines").0.to_owned()
}

/// The crates of ours among the lines.
fn crates_in(lines: &str) -> impl Iterator<Item = &str> {
    let paths = lines
        .lines()
        .filter_map(|line| line.split_once("path = \"crates/"));
    paths.filter_map(|(_, path)| path.split('"').next())
}

/// What the crates inherit besides.
fn shared() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
    let inherited = sections(&read(&root), |header| {
        header == "[workspace.package]" || header.starts_with("[workspace.lints")
    });
    format!("[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n\n{inherited}")
}

/// The manifest as `crates/README.md` says, beside an empty library.
fn copy_manifest(name: &str, to: &Path) {
    let manifest = read(&package("crates", name).join("Cargo.toml"));
    let manifest = sections(&manifest, |header| !FOR_TESTS.contains(&header));
    let directory = to.join("crates").join(name);
    std::fs::create_dir_all(directory.join("src")).expect("a directory");
    std::fs::write(directory.join("Cargo.toml"), without_chassis(&manifest)).expect("to write");
    std::fs::write(directory.join("src/lib.rs"), "").expect("to write");
}

/// What the `sed` of `crates/README.md` makes of a manifest.
fn without_chassis(manifest: &str) -> String {
    let lines = manifest
        .lines()
        .filter(|line| !line.starts_with("chassis = { workspace"));
    let lines = lines.map(|line| {
        line.replace("\"dep:chassis\", ", "")
            .replace("\"dep:chassis\"", "")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The sections of a manifest with a header that is wanted.
fn sections(manifest: &str, wanted: impl Fn(&str) -> bool) -> String {
    let (mut is_wanted, mut kept) = (false, Vec::new());
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_wanted = wanted(line);
        }
        if is_wanted {
            kept.push(line);
        }
    }
    kept.join("\n")
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
