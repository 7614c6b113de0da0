//! `docs/interfaces/README.md` lists what the sources serve, publish and consume: all of it, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/interfaces/README.md";
/// Where routes are declared.
const ROUTES: [&str; 2] = ["services", "crates/chassis/src"];
/// The second root is the first with a version, as the page says.
const ROOT: &str = "/api";
/// The documents of what is not declared with a path that can be read; they are held against the code by a test of their own.
const DOCUMENTS: [&str; 6] = [
    "openapi-gateway-v1.json",
    "openapi-gateway-v2.json",
    "openapi-orders.json",
    "openapi-orders-v2.json",
    "openapi-products.json",
    "openapi-products-v2.json",
];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

pub(crate) fn are_listed() {
    routes_of_tests_only_are_passed_over();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let page = read(&root.join(PAGE));
    let listed: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();

    let mut routes = BTreeSet::new();
    for file in ROUTES
        .iter()
        .flat_map(|folder| files(&root.join(folder), "rs"))
    {
        routes.extend(routes_of(&read(&file)));
    }
    for document in DOCUMENTS {
        routes.extend(operations_of(&read(
            &root.join("docs/interfaces").join(document),
        )));
    }
    let shown = listed.iter().filter(|span| is_route(span));
    compare(
        "routes",
        routes,
        shown.map(|span| without_query(span)).collect(),
    );

    let protos = files(&root.join("proto"), "proto");
    let methods = protos.iter().flat_map(|file| methods_of(&read(file)));
    let shown = listed.iter().filter(|span| is_method(span));
    compare(
        "methods",
        methods.collect(),
        shown.copied().map(str::to_owned).collect(),
    );

    let contracts = root.join("crates/contracts/src");
    let sources = files(&contracts, "rs");
    let types = sources.iter().flat_map(|file| texts(&read(file)));
    let shown = listed.iter().filter(|span| is_event_type(span));
    compare(
        "event types",
        types.filter(|text| is_event_type(text)).collect(),
        shown.copied().map(str::to_owned).collect(),
    );

    // Topics, queues, sources. Only in one direction: any word can be between two backquotes.
    let names = texts(&read(&contracts.join("names.rs")));
    assert!(names.len() > 5, "the names are where they are looked for");
    for name in names {
        assert!(
            listed.contains(name.as_str()),
            "{PAGE} does not have {name}"
        );
    }
}

fn routes_of_tests_only_are_passed_over() {
    let source = "#[cfg(test)]\nmod tests;\nfn one() { it.route(\"/one\", get(one)) }\n\
        #[cfg(test)]\nmod tests { fn two() { it.route(\"/two\", get(two)) } }\n";
    assert_eq!(routes_of(source), BTreeSet::from(["GET /one".to_owned()]));
}

fn compare(what: &str, declared: BTreeSet<String>, listed: BTreeSet<String>) {
    assert!(!declared.is_empty(), "{what} are where they are looked for");
    let missing: Vec<_> = declared.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&declared).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "{PAGE}, {what}: not listed {missing:?}; listed and not there {gone:?}"
    );
}

/// `GET /path` for each `.route("/path", get(..))`.
fn routes_of(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for declared in code(source).split(".route(").skip(1) {
        // A path that is made at run time (the proxy's) is no literal: the documents have what is passed on.
        let declared = declared.trim_start();
        let formatted = declared.strip_prefix("&format!(");
        let Some(literal) = formatted.unwrap_or(declared).trim_start().strip_prefix('"') else {
            continue;
        };
        let Some((path, handlers)) = literal.split_once('"') else {
            continue;
        };
        let path = match formatted {
            Some(_) => path
                .replace("{root}", ROOT)
                .replace("{{", "{")
                .replace("}}", "}"),
            None => path.to_owned(),
        };
        let handlers = &handlers[..end_of_call(handlers, formatted.is_some())];
        let is_for = |method: &&&str| {
            let call = format!("{}(", method.to_lowercase());
            handlers.match_indices(&call).any(|(at, _)| {
                !handlers[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
            })
        };
        found.extend(
            METHODS
                .iter()
                .filter(is_for)
                .map(|method| format!("{method} {path}")),
        );
    }
    found
}

/// Where the call of `route` ends, from behind its path; `inside`: the path stands in brackets of its own.
fn end_of_call(text: &str, inside: bool) -> usize {
    let mut depth = 1 + i32::from(inside);
    for (at, c) in text.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// `GET /path` for each operation of an OpenAPI document; below the root without a version if it is below one with it.
fn operations_of(document: &str) -> BTreeSet<String> {
    let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let path = path.replace("/api/v1/", "/api/");
        for method in item.as_object().expect("operations").keys() {
            found.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    found
}

/// `Service/Method` for each method of a proto file.
fn methods_of(proto: &str) -> Vec<String> {
    let mut service = "";
    let mut methods = Vec::new();
    for line in proto.lines() {
        let mut words = line.split([' ', '(', '{']).filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (Some("service"), Some(name)) => service = name,
            (Some("rpc"), Some(name)) => methods.push(format!("{service}/{name}")),
            _ => {}
        }
    }
    methods
}

/// The string literals of a source; it must have none with quotes in them.
fn texts(source: &str) -> Vec<String> {
    code(source)
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// A source without its comments, and without the tests at its end.
fn code(source: &str) -> String {
    let ends = ["mod tests {", "pub(crate) mod tests {"];
    let ends = ends.map(|module| source.find(&format!("#[cfg(test)]\n{module}")));
    let end = ends.into_iter().flatten().min().unwrap_or(source.len());
    let lines = source[..end]
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn is_route(span: &str) -> bool {
    span.split_once(' ')
        .is_some_and(|(method, path)| METHODS.contains(&method) && path.starts_with('/'))
}

fn without_query(span: &str) -> String {
    span.split('?').next().unwrap_or_default().to_owned()
}

fn is_method(span: &str) -> bool {
    span.split_once('/').is_some_and(|(service, method)| {
        service.ends_with("Service") && method.starts_with(|c: char| c.is_ascii_uppercase())
    })
}

/// `agora.order.placed.v1`: four parts, the last of them a version.
fn is_event_type(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    matches!(parts[..], ["agora", _, _, version] if version.starts_with('v'))
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
