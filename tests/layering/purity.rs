//! What a module or crate without I/O must not name.

use crate::source::{Import, Source};

/// What reads or writes outside of the process.
pub(crate) const IO: [&str; 36] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    // A path looks for itself whether it exists.
    "std::path",
    "std::process",
    "std::thread",
    "tokio::fs",
    "tokio::io",
    "tokio::net",
    "tokio::process",
    "tokio::signal",
    "axum",
    "h2",
    "hickory_resolver",
    "hyper",
    "hyper_util",
    "lapin",
    "lettre",
    "rdkafka",
    "reqwest",
    "rustix",
    "sqlx",
    "tokio_rustls",
    "tokio_tungstenite",
    "tonic",
    "chassis",
    "client",
    "contracts::clients",
    // Generated, with their clients and servers.
    "contracts::products",
    "contracts::testing",
    "contracts::users",
    "embedded",
    "messaging",
    "outbox",
];
/// The dependencies that a domain may be made of: values and how they are written. Any other is a framework, or does I/O.
const OF_DOMAINS: [&str; 7] = [
    "chrono",
    "contracts",
    "envelope",
    "serde",
    "strum",
    "thiserror",
    "uuid",
];

/// What may be named all the same: a value without behaviour, which the claims of a token and an account share.
const ALLOWED: [&str; 1] = ["chassis::auth::Role"];

/// Whether a file of a service is of its domain.
pub(crate) fn is_of_domain(file: &str) -> bool {
    file == "domain.rs" || file.starts_with("domain/")
}

/// What of `forbidden` a source names, in a `use` or in place.
pub(crate) fn named(source: &Source, forbidden: &[&str]) -> Vec<String> {
    let imported = source.imports.iter().filter_map(|import| {
        let path = import.path.join("::");
        let is_found = forbidden
            .iter()
            .any(|name| is_below(&path, name) || hides(import, name));
        is_found.then_some(path)
    });
    let in_place = source.paths.iter().map(|path| path.join("::"));
    let in_place = in_place.filter(|path| forbidden.iter().any(|name| is_below(path, name)));
    imported
        .chain(in_place)
        .filter(|path| !ALLOWED.contains(&path.as_str()))
        .collect()
}

/// What a source names of the package's dependencies that no domain is made of.
pub(crate) fn foreign(source: &Source, dependencies: &[String]) -> Vec<String> {
    let is_foreign =
        |name: &String| dependencies.contains(name) && !OF_DOMAINS.contains(&name.as_str());
    let imported = source.imports.iter().map(|import| &import.path);
    imported
        .chain(&source.paths)
        .filter(|path| path.first().is_some_and(is_foreign))
        .map(|path| path.join("::"))
        .filter(|path| !ALLOWED.contains(&path.as_str()))
        .collect()
}

fn is_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether an import of what `name` is below lets it be named by another path: by `as`, or with everything that is there.
fn hides(import: &Import, name: &str) -> bool {
    let Some((last, above)) = import.path.split_last() else {
        return false;
    };
    let above = match last.as_str() {
        "*" => above.join("::"),
        last if last != import.name => import.path.join("::"),
        _ => return false,
    };
    name != above && is_below(name, &above)
}

#[test]
fn io_in_a_domain_is_found() {
    assert!(is_of_domain("domain/order.rs") && is_of_domain("domain.rs"));
    assert!(!is_of_domain("store/order.rs"));
    let planted = "use std::{fmt, fs};
        use std::net_like::Thing;
        #[derive(Debug, sqlx::FromRow)]
        struct Order;
        /// As `tokio::fs` does.
        fn read() { tokio::select! { _ = tokio::net::TcpStream::connect(\"std::process\") => {} } }
        #[cfg(test)]
        mod tests { use std::process::Command; }";
    assert_eq!(
        named(&Source::read(planted), &IO),
        ["std::fs", "sqlx::FromRow", "tokio::net::TcpStream::connect"]
    );
    let planted = "use std::{env, io::Write, path::Path, sync::Arc};
        use chassis::auth::{Role, Verifier};
        use contracts::{clients::Orders, jobs::EmailJob, users::v1};
        fn run() { std::thread::spawn(|| ()); }";
    assert_eq!(
        named(&Source::read(planted), &IO),
        [
            "std::env",
            "std::io::Write",
            "std::path::Path",
            "chassis::auth::Verifier",
            "contracts::clients::Orders",
            "contracts::users::v1",
            "std::thread::spawn"
        ]
    );
}

#[test]
fn a_framework_in_a_domain_is_found() {
    let dependencies = ["chassis", "serde", "tokio", "tokio_util", "utoipa"].map(str::to_owned);
    let planted = "use chassis::auth::Role;
        use tokio_util::sync::X;
        use crate::utoipa::Own;
        #[derive(serde::Serialize, utoipa::ToSchema)]
        struct Order;
        async fn wait() { tokio::time::sleep(TIME).await }";
    assert_eq!(
        foreign(&Source::read(planted), &dependencies),
        [
            "tokio_util::sync::X",
            "utoipa::ToSchema",
            "tokio::time::sleep"
        ]
    );
}

#[test]
fn io_by_another_name_is_found() {
    let planted = "use std as s;
        use std::{self, fmt as f};
        use contracts::*;
        use super::*;
        extern crate sqlx as rows;
        fn read() { s::fs::read(\"x\"); }";
    assert_eq!(
        named(&Source::read(planted), &IO),
        ["std", "contracts::*", "sqlx"]
    );
}
