//! Who calls whom, by the picture of `docs/ARCHITECTURE.md`.

use std::collections::BTreeSet;

use crate::render::{SERVICES, repository};

/// Pairs of a caller and whom it calls.
pub(crate) type Pairs = BTreeSet<(String, String)>;

/// The calls of the picture. What goes over an engine is no call, and neither is reading an admin port.
pub(crate) fn pairs() -> Pairs {
    let text = std::fs::read_to_string(repository("docs/ARCHITECTURE.md")).unwrap();
    let picture = text.split("```").nth(1).unwrap();
    let lines = picture.lines().filter(|line| !line.contains("outbox"));
    lines.flat_map(of_line).collect()
}

/// The calls of a line: `a, b ── how ──▶ c ── how ──▶ d`. One that begins with a branch goes on from the gateway.
fn of_line(line: &str) -> Pairs {
    let parts: Vec<&str> = line.split('▶').collect();
    let mut pairs = Pairs::new();
    for (index, ends) in parts.windows(2).enumerate() {
        let [from, to] = ends else { continue };
        let words = services(from);
        let last = words.last().copied();
        let callers = match (index, last) {
            (0, None) if from.contains(['├', '└']) => vec!["gateway"],
            (0, _) => words,
            (_, Some(last)) => vec![last],
            (_, None) => Vec::new(),
        };
        let called = to.split_whitespace().next().unwrap_or_default();
        let called = called.trim_end_matches(',');
        if SERVICES.contains(&called) {
            let calls = callers
                .into_iter()
                .map(|caller| (caller.to_owned(), called.to_owned()));
            pairs.extend(calls);
        }
    }
    pairs
}

/// The services that are named.
fn services(text: &str) -> Vec<&str> {
    let words = text.split_whitespace();
    let words = words.map(|word| word.trim_end_matches(','));
    words.filter(|word| SERVICES.contains(word)).collect()
}

pub(crate) fn the_picture_is_read() {
    let read = |line: &str| -> Vec<String> {
        let pairs = of_line(line).into_iter();
        pairs
            .map(|(caller, called)| format!("{caller} {called}"))
            .collect()
    };
    for (line, calls) in [
        (
            "   gateway ─── gRPC ──▶ users ─── REST ───▶ orders      (a user's orders)",
            &["gateway users", "users orders"][..],
        ),
        (
            "     │    └── REST ───▶ orders ─ gRPC ─▶ products",
            &["gateway orders", "orders products"][..],
        ),
        (
            " gateway, orders ── gRPC GetKeys ──▶ users   (keys)",
            &["gateway users", "orders users"][..],
        ),
        (
            " observatory ── reads ──▶ the admin ports of all    gateway ── passes /observatory on ──▶ observatory, where told to",
            &["gateway observatory"][..],
        ),
    ] {
        assert_eq!(read(line), calls, "{line}");
    }
    assert_eq!(pairs().len(), 8, "{:?}", pairs());
}
