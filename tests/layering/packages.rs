//! Which packages may depend on which.

use std::path::Path;

use serde_json::Value;

use crate::OF_THE_SHOP;

/// Clients of brokers. Services use them through `messaging`, and write through `outbox`; their tests may look for
/// themselves what arrived.
const BROKERS: [&str; 2] = ["rdkafka", "lapin"];
/// Targets of which nothing is in a library or a program.
const NOT_BUILT_IN: [&str; 4] = ["bench", "custom-build", "example", "test"];
/// Knows that services can share a process.
pub(crate) const ALL_IN_ONE: &str = "agora";

/// The dependencies that break the layers: of a service on another, of a crate on a service or on what is the shop's, of a
/// service on a broker.
/// Renamed dependencies and those for tests count.
pub(crate) fn forbidden(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("packages");
    let services: Vec<&str> = packages
        .iter()
        .filter(|package| is_in(package, "services"))
        .map(name)
        .collect();
    assert!(services.contains(&ALL_IN_ONE), "services: {services:?}");
    let mut found = Vec::new();
    for package in packages {
        let owner = name(package);
        let is_service = is_in(package, "services") && owner != ALL_IN_ONE;
        let is_crate = is_in(package, "crates");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = name(dependency);
            let is_for_tests = dependency["kind"] == "dev";
            let on_service = services.contains(&on) && (is_service || is_crate);
            let on_shop = on == OF_THE_SHOP && is_crate;
            let on_broker = BROKERS.contains(&on) && is_service && !is_for_tests;
            if on_service || on_shop || on_broker {
                found.push(format!("{owner} depends on {on}"));
            }
        }
    }
    found
}

/// The crates that a package is built with, as its sources name them.
pub(crate) fn dependencies(metadata: &Value, package: &str) -> Vec<String> {
    let mut packages = metadata["packages"].as_array().expect("packages").iter();
    let package = packages.find(|found| name(found) == package);
    let dependencies = &package.expect("a package of its folder's name")["dependencies"];
    let dependencies = dependencies.as_array().expect("dependencies").iter();
    let built_with = dependencies.filter(|dependency| dependency["kind"] != "dev");
    built_with
        .map(|dependency| {
            let renamed = dependency["rename"].as_str();
            renamed
                .unwrap_or_else(|| name(dependency))
                .replace('-', "_")
        })
        .collect()
}

/// The libraries and programs of crates and services that begin elsewhere than in `src/lib.rs` and `src/main.rs`, from where on
/// sources are read here.
pub(crate) fn elsewhere(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let ours = packages.filter(|package| is_in(package, "crates") || is_in(package, "services"));
    let mut found = Vec::new();
    for package in ours {
        let sources = Path::new(path(package, "manifest_path")).with_file_name("src");
        for target in package["targets"].as_array().expect("targets") {
            let kind = target["kind"][0].as_str().expect("a kind");
            let begins = Path::new(path(target, "src_path"));
            let is_read = ["lib.rs", "main.rs"].map(|root| sources.join(root));
            if !NOT_BUILT_IN.contains(&kind) && !is_read.iter().any(|root| root == begins) {
                found.push(format!("{}: {}", name(package), begins.display()));
            }
        }
    }
    found
}

/// Where the libraries, programs, tests and examples of all packages begin, from the top of the repository.
pub(crate) fn roots(metadata: &Value) -> Vec<String> {
    let top = path(metadata, "workspace_root");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let targets = packages.flat_map(|package| package["targets"].as_array().expect("targets"));
    let files = targets.filter_map(|target| path(target, "src_path").strip_prefix(top));
    files
        .map(|file| file.trim_start_matches('/').to_owned())
        .collect()
}

/// The dependencies that the workspace declares in its manifest and that no package has.
pub(crate) fn unused(manifest: &str, metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let dependencies =
        packages.flat_map(|package| package["dependencies"].as_array().expect("dependencies"));
    let used: Vec<&str> = dependencies
        .map(|dependency| {
            dependency["rename"]
                .as_str()
                .unwrap_or_else(|| name(dependency))
        })
        .collect();
    let (_, declared) = manifest
        .split_once("[workspace.dependencies]\n")
        .expect("dependencies of the workspace");
    let lines = declared.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = "));
    names
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.starts_with('#') && !used.contains(&name.as_str()))
        .collect()
}

fn name(of: &Value) -> &str {
    of["name"].as_str().expect("a name")
}

fn path<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().expect("a path")
}

/// Whatever its name is: a package may be called otherwise than its folder.
fn is_in(package: &Value, folder: &str) -> bool {
    let above = Path::new(path(package, "manifest_path")).ancestors().nth(2);
    above.is_some_and(|above| above.ends_with(folder))
}

#[test]
fn dependencies_against_the_layers_are_found() {
    let package = |folder: &str, name: &str, dependencies: Value| {
        serde_json::json!({
            "name": name,
            "manifest_path": format!("/repository/{folder}/{}/Cargo.toml", name.trim_start_matches("the-")),
            "dependencies": dependencies,
        })
    };
    let on = |name: &str, kind: Option<&str>| serde_json::json!({"name": name, "kind": kind});
    let metadata = serde_json::json!({"packages": [
        package("services", "agora", serde_json::json!([on("orders", None)])),
        package("services", "orders", serde_json::json!([on("users", Some("dev")), on("rdkafka", Some("dev"))])),
        package("services", "the-shop", serde_json::json!([on("users", None)])),
        package("services", "users", serde_json::json!([on("messaging", None), on("lapin", None)])),
        package("crates", "messaging", serde_json::json!([on("rdkafka", None), on("agora", None)])),
        package("crates", "contracts", serde_json::json!([on("envelope", None)])),
        package("crates", "outbox", serde_json::json!([on("messaging", None), on("contracts", Some("dev"))])),
    ]});
    assert_eq!(
        forbidden(&metadata),
        [
            "orders depends on users",
            "the-shop depends on users",
            "users depends on lapin",
            "messaging depends on agora",
            "outbox depends on contracts"
        ]
    );
}

#[test]
fn dependencies_are_named_as_sources_name_them() {
    let metadata = serde_json::json!({"packages": [{"name": "orders", "dependencies": [
        {"name": "http-body", "kind": null},
        {"name": "rand", "kind": null, "rename": "chance"},
        {"name": "proptest", "kind": "dev"},
    ]}]});
    assert_eq!(dependencies(&metadata, "orders"), ["http_body", "chance"]);
}

#[test]
fn a_program_that_is_not_read_is_found() {
    let target = |kind: &str, path: &str| {
        let path = format!("/repository/services/users/{path}");
        serde_json::json!({"kind": [kind], "src_path": path})
    };
    let metadata = serde_json::json!({"packages": [{
        "name": "users",
        "manifest_path": "/repository/services/users/Cargo.toml",
        "targets": [
            target("lib", "src/lib.rs"),
            target("bin", "src/main.rs"),
            target("bin", "src/bin/hidden.rs"),
            target("lib", "other/lib.rs"),
            target("test", "tests/it/main.rs"),
            target("custom-build", "build.rs"),
        ],
    }]});
    assert_eq!(
        elsewhere(&metadata),
        [
            "users: /repository/services/users/src/bin/hidden.rs",
            "users: /repository/services/users/other/lib.rs"
        ]
    );
}

#[test]
fn a_dependency_that_no_package_has_is_found() {
    let manifest = "[workspace]\nresolver = \"3\"\n\n[workspace.dependencies]\n# Of what = that.\nserde = \"1\"\n\
        pki-types = { package = \"rustls-pki-types\", version = \"1\" }\nserde_yaml = \"0.9\"\n\n[profile.dev]\ndebug = false\n";
    let metadata = serde_json::json!({"packages": [{"name": "orders", "dependencies": [
        {"name": "serde", "kind": null},
        {"name": "rustls-pki-types", "rename": "pki-types", "kind": "dev"},
    ]}]});
    assert_eq!(unused(manifest, &metadata), ["serde_yaml"]);
}
