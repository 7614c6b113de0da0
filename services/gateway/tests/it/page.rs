//! The shop's page: what is served, to whom, and with which policy.

use http::Method;

use crate::support::TestGateway;

/// What each answer says beside its content.
const FIXED: [(&str, &str); 4] = [
    ("cache-control", "no-cache"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The addresses that a text names between quotes and that begin like this.
fn named<'a>(text: &'a str, beginnings: &[&str]) -> Vec<&'a str> {
    let quoted = text.split('"').skip(1).step_by(2);
    let named = quoted.filter(|it| beginnings.iter().any(|beginning| it.starts_with(beginning)));
    named.collect()
}

#[tokio::test]
async fn the_page_is_whole_and_allows_nothing_from_elsewhere() {
    let gateway = TestGateway::healthy().await;
    let page = gateway.get("/").header("accept", "text/html").send().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let html = String::from_utf8(page.body.to_vec()).unwrap();

    let mut open: Vec<String> = named(&html, &["/page/"])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(open.len() >= 3, "{html}");
    let mut seen = Vec::new();
    while let Some(path) = open.pop() {
        if seen.contains(&path) {
            continue;
        }
        let answer = gateway.get(&path).send().await;
        assert_eq!(answer.status, 200, "{path}");
        for (name, value) in FIXED {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'self';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        if path.ends_with(".js") {
            assert_eq!(
                answer.header("content-type"),
                "text/javascript; charset=utf-8"
            );
            let base = url::Url::parse(&format!("http://gateway{path}")).unwrap();
            let imports = named(&text, &["./", "../"]);
            open.extend(
                imports
                    .iter()
                    .map(|it| base.join(it).unwrap().path().to_owned()),
            );
        }
        seen.push(path);
    }
    // The frame, the first view, and what it stands on.
    assert!(seen.len() > 10, "{seen:?}");
}

#[tokio::test]
async fn a_reader_who_has_it_gets_304() {
    let gateway = TestGateway::healthy().await;
    let first = gateway.get("/page/app.js").send().await;
    let tag = first.header("etag").to_owned();
    for known in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        let again = gateway
            .get("/page/app.js")
            .header("if-none-match", &known)
            .send()
            .await;
        assert_eq!(again.status, 304, "{known}");
        assert_eq!(again.header("etag"), tag);
        assert!(again.body.is_empty());
    }
    let other = gateway
        .get("/page/app.js")
        .header("if-none-match", "\"other\"")
        .send()
        .await;
    assert_eq!(other.status, 200);
    let head = gateway.call(Method::HEAD, "/page/app.js").send().await;
    assert_eq!(
        (head.status.as_u16(), head.header("etag")),
        (200, tag.as_str())
    );
}

#[tokio::test]
async fn what_is_no_part_of_the_page_is_404() {
    let gateway = TestGateway::healthy().await;
    for path in [
        "/page/",
        "/page/index.html",
        "/page/graphql.js",
        "/page/../Cargo.toml",
        "/page/%2e%2e/Cargo.toml",
        "/page/..%2fCargo.toml",
        "/page//etc/passwd",
        "/page/lib",
        "/page/tests.js",
    ] {
        let answer = gateway.get(path).send().await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{path}"
        );
    }
    gateway
        .call(Method::POST, "/")
        .send()
        .await
        .problem(405, "/");
}
