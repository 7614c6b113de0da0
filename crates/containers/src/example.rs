//! Examples as processes: what a reader of the documentation runs, run by tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The example `name` of `package`, to be started with arguments and an environment of the caller's.
///
/// `cargo test` builds the examples of what it tests and puts them beside the tests, so nothing is built twice. Only where
/// one target was chosen (`--test it`), or another package is tested, an example that is missing is built here.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn example(package: &str, name: &str) -> Command {
    let profile = profile();
    let path = profile.join("examples").join(name);
    if !path.exists() {
        build(package, name, &profile);
    }
    Command::new(path)
}

fn build(package: &str, name: &str, profile: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", package, "--example", name]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    if let Some(target) = profile.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    let built = cargo.status().expect("cargo runs");
    assert!(built.success(), "the example {name} of {package} is built");
}

/// The directory of the profile that this test was built with: `target/debug/deps/it-…` lies in `target/debug`.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(Path::parent);
    profile.expect("a target directory").to_owned()
}
