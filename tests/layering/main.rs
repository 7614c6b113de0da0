//! The invariants of `docs/ARCHITECTURE.md` that can be read off the manifests and the sources.
//!
//! Each check is a function over text: here it is given the repository, and beside it a test plants what it must find.

mod budgets;
mod circles;
mod copied;
mod grafana;
mod lifted;
mod limits;
mod links;
mod logging;
mod modules;
mod packages;
mod promises;
mod publishing;
mod purity;
mod reached;
mod repository;
mod source;
mod topics;
mod words;

use modules::modules;
use repository::{names, package, rust_files};

/// Own nothing, and so have no domain.
const WITHOUT_DOMAIN: [&str; 2] = ["gateway", "mesh"];
/// Crates that can be lifted out and used elsewhere.
const PURE_CRATES: [&str; 3] = ["backoff", "envelope", "resilience"];
/// Knows the shop, since it is the shop's wire types.
const OF_THE_SHOP: &str = "contracts";

fn services() -> impl Iterator<Item = String> {
    names("services").filter(|name| name != packages::ALL_IN_ONE)
}

#[test]
fn packages_depend_on_what_is_below_them() {
    let forbidden = packages::forbidden(&repository::metadata());
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
}

#[test]
fn pure_crates_do_no_io() {
    for name in PURE_CRATES {
        for module in modules(&rust_files(&package("crates", name))).values() {
            let named = purity::named(&module.source, &purity::IO);
            assert!(
                named.is_empty(),
                "{name}/src/{} names {named:?}",
                module.file
            );
        }
    }
}

#[test]
fn domains_do_no_io_and_know_no_framework() {
    let metadata = repository::metadata();
    for service in services() {
        let dependencies = packages::dependencies(&metadata, &service);
        let files = rust_files(&package("services", &service));
        let mut read = 0;
        for module in circles::used(&files, purity::is_of_domain) {
            let named = [
                purity::named(&module.source, &purity::IO),
                purity::foreign(&module.source, &dependencies),
            ]
            .concat();
            assert!(
                named.is_empty(),
                "{service}/src/{} names {named:?}",
                module.file
            );
            read += 1;
        }
        let has_none = WITHOUT_DOMAIN.contains(&service.as_str());
        assert_eq!(read == 0, has_none, "{service}: {read} files of a domain");
    }
}

#[test]
fn modules_are_where_their_names_say() {
    for folder in ["crates", "services"] {
        for name in names(folder) {
            for module in modules(&rust_files(&package(folder, &name))).values() {
                let file = &module.file;
                let is_elsewhere = module.source.is_elsewhere;
                assert!(!is_elsewhere, "{name}/src/{file}: #[path] or include!");
            }
        }
    }
    let elsewhere = packages::elsewhere(&repository::metadata());
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn every_source_is_part_of_something() {
    let mut files = repository::Files::new();
    for folder in ["crates", "services", "tests"] {
        let below = repository::below(folder, &["rs"]).into_iter();
        files.extend(below.map(|(file, text)| (format!("{folder}/{file}"), text)));
    }
    // A workspace of its own.
    files.retain(|file, _| !file.starts_with("tests/lifted/"));
    let left_out = reached::left_out(packages::roots(&repository::metadata()), &files);
    assert!(left_out.is_empty(), "no module, no target: {left_out:?}");
}

/// `cargo machete` finds those that a package declares.
#[test]
fn what_the_workspace_declares_is_used_by_some_package() {
    let unused = packages::unused(&repository::manifest(), &repository::metadata());
    assert!(unused.is_empty(), "in Cargo.toml: {unused:?}");
}

#[test]
fn services_write_to_brokers_through_the_outbox_only() {
    for service in services() {
        for module in modules(&rust_files(&package("services", &service))).values() {
            let published = publishing::published(&module.source);
            assert!(
                published.is_empty(),
                "{service}/src/{} calls {published:?}",
                module.file
            );
        }
    }
}

#[test]
fn queues_have_limits() {
    for folder in ["crates", "services"] {
        for name in names(folder) {
            for module in modules(&rust_files(&package(folder, &name))).values() {
                let unlimited = limits::unlimited(&module.source);
                let file = &module.file;
                assert!(unlimited.is_empty(), "{name}/src/{file}: {unlimited:?}");
            }
        }
    }
}

#[test]
fn services_start_their_relays_and_consumers_in_one_way() {
    for service in services() {
        for module in modules(&rust_files(&package("services", &service))).values() {
            let by_hand = publishing::started_by_hand(&module.source);
            assert!(
                by_hand.is_empty(),
                "{service}/src/{} starts {by_hand:?} by hand",
                module.file
            );
        }
    }
}

#[test]
fn crates_know_no_shop() {
    let mut found = Vec::new();
    for name in names("crates").filter(|name| name != OF_THE_SHOP) {
        let files = rust_files(&package("crates", &name));
        for module in modules(&files).values() {
            let file = format!("{name}/src/{}", module.file);
            let text = &files[&module.file];
            found.extend(words::of_the_shop(&file, &module.source, text));
        }
        for (file, text) in repository::beside_sources(&package("crates", &name)) {
            found.extend(words::of_the_shop_beside(&format!("{name}/{file}"), &text));
        }
    }
    let (allowed, forbidden): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|found| words::ALLOWED.iter().any(|allowed| allowed.covers(found)));
    assert!(forbidden.is_empty(), "shop words: {forbidden:#?}");
    for exception in &words::ALLOWED {
        assert!(
            allowed.iter().any(|found| exception.covers(found)),
            "an exception that nothing needs: {exception:?}"
        );
    }
}

#[test]
fn modules_depend_on_each_other_in_no_circle() {
    let mut found = Vec::new();
    for folder in ["crates", "services"] {
        for name in names(folder) {
            let circles = circles::circles(&rust_files(&package(folder, &name)));
            found.extend(circles.into_iter().map(|circle| (name.clone(), circle)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn modules_name_what_they_use_of_each_other() {
    let mut found = Vec::new();
    for folder in ["crates", "services"] {
        for name in names(folder) {
            let globs = circles::globs(&rust_files(&package(folder, &name)));
            found.extend(globs.into_iter().map(|glob| format!("{name}/src/{glob}")));
        }
    }
    assert!(found.is_empty(), "imports of everything: {found:#?}");
}

#[test]
fn budgets_only_go_down() {
    let broken = budgets::broken(&contracts::testing::budget::rows());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
