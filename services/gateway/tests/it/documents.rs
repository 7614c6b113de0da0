//! The documents that the gateway serves, and the pages that they lead to.

use contracts::limits::{EMAIL_CHARS_MAX, NAME_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use contracts::problems;
use http::Method;
use serde_json::Value;

use crate::support::TestGateway;

#[tokio::test]
async fn the_document_of_the_api_is_served() {
    let gateway = TestGateway::healthy().await;
    let v1 = include_str!("../../../../docs/interfaces/openapi-gateway-v1.json");
    let v2 = include_str!("../../../../docs/interfaces/openapi-gateway-v2.json");
    for (path, committed) in [
        ("/openapi.json", v1),
        ("/openapi.json?version=v1", v1),
        ("/openapi.json?version=v2", v2),
    ] {
        let answer = gateway.get(path).send().await;
        let committed: Value = serde_json::from_str(committed).unwrap();
        assert_eq!(answer.ok(200), committed, "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
    }

    let unknown = gateway.get("/openapi.json?version=v9").send().await;
    let problem = unknown.problem(404, "/openapi.json");
    assert!(
        problem["detail"].as_str().unwrap().contains("v1, v2"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_document_that_did_not_change_is_not_sent_again() {
    let gateway = TestGateway::healthy().await;
    let mut tags = Vec::new();
    for path in [
        "/openapi.json?version=v1",
        "/openapi.json?version=v2",
        "/asyncapi.json",
    ] {
        let first = gateway.get(path).send().await;
        let tag = first.header("etag").to_owned();
        assert!(
            tag.starts_with('"') && !tags.contains(&tag),
            "{path}: {tag}"
        );
        for (known, status) in [(tag.as_str(), 304), ("*", 304), ("\"other\"", 200)] {
            let again = gateway.get(path).header("if-none-match", known);
            let again = again.send().await;
            assert_eq!(again.status, status, "{path}: {known}");
            assert_eq!(again.header("etag"), tag);
            assert_eq!(again.body.is_empty(), status == 304);
        }
        let head = gateway.call(Method::HEAD, path).send().await;
        assert_eq!((head.status.as_u16(), head.header("etag")), (200, &*tag));
        assert!(head.body.is_empty());
        tags.push(tag);
    }
}

/// The doors are for pages of their own host and for programs: no page elsewhere is allowed to read an answer.
#[tokio::test]
async fn pages_elsewhere_are_allowed_nothing() {
    let gateway = TestGateway::healthy().await;
    for path in ["/graphql", "/api/v1/sessions", "/openapi.json"] {
        let preflight = gateway.call(Method::OPTIONS, path);
        let preflight = preflight
            .header("origin", "https://elsewhere.example")
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            );
        let answer = preflight.send().await;
        answer.problem(405, path);
        let allowing = answer.headers.keys();
        let mut allowing = allowing.filter(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(allowing.next(), None, "{path}");
    }
}

/// What the schema says in figures is what users holds to.
#[tokio::test]
async fn the_document_has_the_limits_of_a_sign_up() {
    let gateway = TestGateway::healthy().await;
    let document = gateway.get("/openapi.json").send().await.ok(200);
    let fields = &document["components"]["schemas"]["NewUser"]["properties"];
    assert_eq!(fields["email"]["maxLength"], EMAIL_CHARS_MAX);
    assert_eq!(fields["name"]["maxLength"], NAME_CHARS_MAX);
    assert_eq!(fields["password"]["minLength"], PASSWORD_CHARS_MIN);
    assert_eq!(fields["password"]["maxLength"], PASSWORD_CHARS_MAX);
}

/// The document is of the routes that this gateway has, not of those that it has by default.
#[tokio::test]
async fn the_document_follows_the_configured_routes() {
    let (users, _) = crate::support::FakeUsers::default().serve().await;
    let shop = crate::support::FakeShop::default().serve().await;
    let routes = ["--gateway-routes", "/shop/goods=products:/v1/products"];
    let gateway = crate::support::start(users, shop, &routes).await;
    let document = gateway.get("/openapi.json").send().await.ok(200);
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/api/v1/shop/goods/{id}"), "{paths:?}");
    assert!(
        !paths.keys().any(|path| path.contains("orders/{id}")),
        "{paths:?}"
    );
}

#[tokio::test]
async fn the_document_of_the_events_is_served() {
    let gateway = TestGateway::healthy().await;
    let document = gateway.get("/asyncapi.json").send().await.ok(200);
    assert_eq!(
        document["channels"]["order-events"]["address"],
        "order-events"
    );
}

/// The page, and each file that it names: from here, and allowed to ask nobody else.
#[tokio::test]
async fn the_reference_page_needs_no_other_host() {
    let gateway = TestGateway::healthy().await;
    let page = gateway.get("/docs").send().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(policy.contains("connect-src 'self';"), "{policy}");

    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let files: Vec<_> = ["src=\"", "href=\""]
        .into_iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(files.len() >= 5, "{html}");
    for file in files {
        assert!(file.starts_with("/docs/"), "{file}");
        let answer = gateway.get(file).send().await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.body.is_empty(), "{file}");
    }
    let settings = gateway.get("/docs/swagger-initializer.js").send().await;
    let settings = String::from_utf8(settings.body.to_vec()).unwrap();
    for version in ["v1", "v2"] {
        let document = format!("/openapi.json?version={version}");
        assert!(settings.contains(&document), "{settings}");
    }
    assert!(
        settings.contains("\"validatorUrl\": \"none\""),
        "{settings}"
    );

    let missing = gateway.get("/docs/no-such.js").send().await;
    missing.problem(404, "/docs/no-such.js");
}

/// Each kind of problem has its page, and a problem's `type` is the address of it.
#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_page() {
    let gateway = TestGateway::healthy().await;
    for kind in problems::all() {
        let page = gateway
            .get(&format!("/problems/{}", kind.slug))
            .send()
            .await;
        assert_eq!(page.status, 200, "{kind:?}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let html = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(html.contains(&format!("/problems/{}", kind.slug)), "{html}");
    }
    let missing = gateway.get("/problems/no-such").send().await;
    let problem = missing.problem(404, "/problems/no-such");
    let page = gateway.get(problem["type"].as_str().unwrap()).send().await;
    assert_eq!(page.status, 200, "{problem}");
}
