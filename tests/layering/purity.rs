//! What a module or crate without I/O must not name.

use crate::source::{Import, Source};

/// What reads or writes outside of the process.
pub(crate) const IO: [&str; 23] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "tokio::fs",
    "tokio::net",
    "tokio::process",
    "axum",
    "hyper",
    "hyper_util",
    "lapin",
    "lettre",
    "rdkafka",
    "sqlx",
    "tonic",
    "chassis",
    "client",
    "contracts::clients",
    "embedded",
    "messaging",
    "outbox",
];
/// What decides how a program is run.
pub(crate) const FRAMEWORKS: [&str; 5] = ["tokio", "tokio_util", "tower", "clap", "futures"];

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
    assert_eq!(
        named(&Source::read("use tokio::time::sleep;"), &FRAMEWORKS),
        ["tokio::time::sleep"]
    );
    let planted = "use std::{env, io::Write, sync::Arc};
        use chassis::auth::{Role, Verifier};
        use contracts::{clients::Orders, jobs::EmailJob};
        fn run() { std::thread::spawn(|| ()); }";
    assert_eq!(
        named(&Source::read(planted), &IO),
        [
            "std::env",
            "std::io::Write",
            "chassis::auth::Verifier",
            "contracts::clients::Orders",
            "std::thread::spawn"
        ]
    );
    assert_eq!(
        named(&Source::read("use tokio_util::sync::X;"), &FRAMEWORKS),
        ["tokio_util::sync::X"]
    );
}

#[test]
fn io_by_another_name_is_found() {
    let planted = "use std as s;
        use std::{self, fmt as f};
        use contracts::*;
        use super::*;
        fn read() { s::fs::read(\"x\"); }";
    assert_eq!(named(&Source::read(planted), &IO), ["std", "contracts::*"]);
}
