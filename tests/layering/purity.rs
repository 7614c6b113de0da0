//! What a module or crate without I/O must not name.

use crate::source::Source;

/// What reads or writes outside of the process.
pub(crate) const IO: [&str; 18] = [
    "std::fs",
    "std::net",
    "std::process",
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
    "client",
    "embedded",
    "messaging",
    "outbox",
];
/// What decides how a program is run.
pub(crate) const FRAMEWORKS: [&str; 4] = ["tokio", "tower", "clap", "futures"];

/// Whether a file of a service is of its domain.
pub(crate) fn is_of_domain(file: &str) -> bool {
    file == "domain.rs" || file.starts_with("domain/")
}

/// What of `forbidden` a source names, in a `use` or in place.
pub(crate) fn named(source: &Source, forbidden: &[&str]) -> Vec<String> {
    let imported = source.imports.iter().map(|import| &import.path);
    imported
        .chain(&source.paths)
        .map(|path| path.join("::"))
        .filter(|path| forbidden.iter().any(|name| is_below(path, name)))
        .collect()
}

fn is_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
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
}
