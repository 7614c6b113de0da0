//! Which packages may depend on which.

use std::path::Path;

use serde_json::Value;

use crate::OF_THE_SHOP;

/// Clients of brokers. Services use them through `messaging`, and write through `outbox`; their tests may look for
/// themselves what arrived.
const BROKERS: [&str; 2] = ["rdkafka", "lapin"];
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

fn name(of: &Value) -> &str {
    of["name"].as_str().expect("a name")
}

/// Whatever its name is: a package may be called otherwise than its folder.
fn is_in(package: &Value, folder: &str) -> bool {
    let manifest = package["manifest_path"].as_str().expect("a path");
    let above = Path::new(manifest).ancestors().nth(2);
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
