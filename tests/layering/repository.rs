//! The repository, read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The texts of a package's sources, by their paths below `src`.
pub(crate) type Files = BTreeMap<String, String>;

fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace")
}

/// Where a package is.
pub(crate) fn package(folder: &str, name: &str) -> PathBuf {
    root().join(folder).join(name)
}

/// The names of all packages in a folder.
pub(crate) fn names(folder: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("a folder of packages");
    let entries = entries.map(|entry| entry.expect("an entry"));
    // A README stands beside the packages.
    let packages = entries.filter(|entry| entry.path().is_dir());
    packages.map(|package| package.file_name().into_string().expect("a name in UTF-8"))
}

/// The sources of a package.
pub(crate) fn rust_files(package: &Path) -> Files {
    let mut files = Files::new();
    collect(&package.join("src"), "", &["rs"], &mut files);
    assert!(!files.is_empty(), "{} has no sources", package.display());
    files
}

/// All files below a folder of the repository that end so, those of tests and examples among them, by their paths from there.
pub(crate) fn below(folder: &str, endings: &[&str]) -> Files {
    let mut files = Files::new();
    collect(&root().join(folder), "", endings, &mut files);
    files
}

/// What else of a package somebody gets who takes it: its manifest and README, examples and benchmarks, and its SQL, by their
/// paths.
pub(crate) fn beside_sources(package: &Path) -> Files {
    let mut files = Files::new();
    for name in ["Cargo.toml", "README.md"] {
        let text = std::fs::read_to_string(package.join(name));
        files.insert(name.to_owned(), text.expect(name));
    }
    for (folder, endings) in [
        ("src", &["sql"][..]),
        ("examples", &["rs", "sql"][..]),
        ("benches", &["rs", "sql"][..]),
    ] {
        let directory = package.join(folder);
        if directory.is_dir() {
            collect(&directory, &format!("{folder}/"), endings, &mut files);
        }
    }
    files
}

fn collect(directory: &Path, below: &str, endings: &[&str], files: &mut Files) {
    for entry in std::fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = format!("{below}{}", name.expect("a name in UTF-8"));
        if path.is_dir() {
            collect(&path, &format!("{name}/"), endings, files);
        } else if name
            .rsplit_once('.')
            .is_some_and(|(_, end)| endings.contains(&end))
        {
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.insert(name, text);
        }
    }
}

/// The manifest of the workspace.
pub(crate) fn manifest() -> String {
    std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml")
}

/// What `cargo metadata` says of the packages of the workspace.
pub(crate) fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}
