//! The invariants of `docs/ARCHITECTURE.md` that can be read off the manifests and the sources.

use std::path::{Path, PathBuf};

/// The services; `agora` alone may know them.
const SERVICES: [&str; 5] = ["gateway", "users", "orders", "products", "notifications"];
/// What a module or crate without I/O must not name.
const IO: [&str; 9] = [
    "std::net",
    "std::fs",
    "tokio::net",
    "tokio::fs",
    "sqlx",
    "rdkafka",
    "axum",
    "hyper::",
    "tonic",
];

pub(crate) fn is_as_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    for service in SERVICES {
        let manifest = read(&root.join("services").join(service).join("Cargo.toml"));
        for other in SERVICES.iter().filter(|other| **other != service) {
            assert!(
                !depends_on(&manifest, other),
                "{service} depends on {other}"
            );
        }
    }
    for entry in std::fs::read_dir(root.join("crates")).expect("crates/") {
        let manifest = read(&entry.expect("an entry").path().join("Cargo.toml"));
        for service in SERVICES {
            assert!(
                !depends_on(&manifest, service),
                "a crate depends on {service}: {manifest}"
            );
        }
    }
    let mut pure = sources(&root.join("crates/envelope/src"));
    pure.extend(sources(&root.join("crates/resilience/src")));
    let crates = pure.len();
    for service in SERVICES {
        let source = root.join("services").join(service).join("src");
        pure.extend(
            sources(&source)
                .into_iter()
                .filter(|f| f.ends_with("domain.rs")),
        );
    }
    assert!(
        crates > 2 && pure.len() > crates + 1,
        "the sources are where they are looked for"
    );
    for file in pure {
        let text = read(&file);
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for name in IO {
                assert!(
                    !line.contains(name),
                    "{} names {name}: {line}",
                    file.display()
                );
            }
        }
    }
}

fn depends_on(manifest: &str, name: &str) -> bool {
    manifest.lines().any(|line| {
        let key = line.split(['.', '=', ' ']).next();
        key == Some(name)
    })
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}
