//! The crates that can be lifted out, seen from `tests/lifted`: a program outside of the workspace that uses them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What nobody shall have to build who wants an outbox and a queue in PostgreSQL: other engines, doors, a command line.
const UNWANTED: [&str; 10] = [
    "axum",
    "clap",
    "hyper",
    "lapin",
    "opentelemetry",
    "rdkafka",
    "rdkafka-sys",
    "tonic",
    "tower",
    "tracing-subscriber",
];
/// Crates of this repository that it takes.
const LIFTED: [&str; 4] = ["backoff", "envelope", "messaging", "outbox"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest() -> PathBuf {
    root().join("lifted/Cargo.toml")
}

/// The names of all packages that the program is built from.
fn tree() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges=normal,build"])
        .args(["--prefix=none", "--format={p}", "--manifest-path"])
        .arg(manifest())
        .output()
        .expect("cargo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    let lines = String::from_utf8(output.stdout).expect("names in UTF-8");
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// The packages of a lock file with their versions.
fn locked(file: &Path) -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut found = BTreeSet::new();
    for package in text.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let mut lines = package.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            value.unwrap_or_default().trim_matches('"').to_owned()
        };
        found.insert((value("name"), value("version")));
    }
    found
}

#[test]
fn who_takes_the_outbox_and_a_queue_in_postgresql_takes_no_broker_and_no_door() {
    let tree = tree();
    for name in LIFTED {
        assert!(tree.contains(name), "{name} is not in {tree:?}");
    }
    let ours: Vec<_> = crate::names("crates")
        .chain(crate::names("services"))
        .filter(|name| tree.contains(name) && !LIFTED.contains(&name.as_str()))
        .collect();
    assert!(ours.is_empty(), "{ours:?} come along");
    let unwanted: Vec<_> = UNWANTED
        .into_iter()
        .filter(|name| tree.contains(*name))
        .collect();
    assert!(unwanted.is_empty(), "{unwanted:?} come along");
}

/// What was built once for the workspace is there for the program too, and nothing has to be fetched for it.
#[test]
fn a_program_outside_is_built_with_the_versions_of_the_workspace() {
    let theirs = locked(&root().join("lifted/Cargo.lock"));
    let ours = locked(&root().with_file_name("Cargo.lock"));
    let others: Vec<_> = theirs
        .difference(&ours)
        .filter(|(name, _)| name != "lifted")
        .collect();
    assert!(others.is_empty(), "in no lock of ours: {others:?}");
}

/// It builds without the workspace around it, and it works.
#[test]
fn a_program_outside_of_the_workspace_runs() {
    let database = embedded::testing::fresh_database();
    // A directory of its own: other features are other builds, and they stay for the next run.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lifted");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--offline", "--manifest-path"])
        .arg(manifest())
        .arg("--target-dir")
        .arg(target)
        .env("DATABASE_URL", &database.url)
        .output()
        .expect("cargo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "a letter about Middlemarch\n", "{errors}");
}
