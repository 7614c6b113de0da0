//! GraphQL over HTTP: methods, media types, persisted queries, introspection, the console.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Graph;

const QUERY: &str = "{ products(first: 1) { edges { node { name } } } }";
/// `sha256sum` of it.
const HASH: &str = "e473f7a66893f7f51fca552c899f75e24f3a4c1eb865d0f0026e1777b12163de";
/// What the usual tools ask.
const INTROSPECTION: &str = include_str!("introspection.graphql");

fn get(graph: &Graph, parameters: &[(&str, &str)]) -> crate::support::Call {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    graph.gateway.get(&format!("/graphql?{}", query.finish()))
}

#[tokio::test]
async fn an_answer_is_json_of_the_kind_that_is_asked_for() {
    let graph = Graph::start().await;
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (
            "application/graphql-response+json, application/json;q=0.9",
            "application/graphql-response+json",
        ),
        (
            "Application/GraphQL-Response+JSON, application/json",
            "application/graphql-response+json",
        ),
        (
            "application/graphql-response+json;q=0.5, application/json",
            "application/json",
        ),
        (
            "application/graphql-response+json;q=0, */*",
            "application/json",
        ),
    ] {
        for (query, status) in [(QUERY, 200), ("{ nothing }", 400), ("{", 400)] {
            let call = graph.post(&json!({ "query": query }));
            let answer = call.header("accept", accept).send().await;
            assert_eq!(answer.header("content-type"), expected);
            let body = answer.ok(status);
            assert_eq!(body.get("data").is_some(), status == 200, "{body}");
            if status == 400 {
                assert_eq!(
                    body["errors"][0]["extensions"]["code"], "bad-request",
                    "{body}"
                );
                assert!(body["errors"][0]["locations"][0]["line"].is_u64(), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn a_query_can_be_in_the_address_and_a_mutation_cannot() {
    let graph = Graph::start().await;
    let query = "query Q($n: Int) { products(first: $n) { edges { node { name } } } } query R { me { id } }";
    let all = [
        ("query", query),
        ("operationName", "Q"),
        ("variables", "{\"n\": 2}"),
    ];
    // In JSON a number without a fraction is an integer, however it is written.
    let written = [all[0], all[1], ("variables", "{\"n\": 2e0}")];
    for parameters in [all, written] {
        let answer = get(&graph, &parameters).send().await.ok(200);
        let edges = answer["data"]["products"]["edges"].as_array().unwrap();
        assert_eq!(edges.len(), 2, "{answer}");
    }
    // A form sends an empty field where nothing was written.
    let unnamed = [
        ("query", QUERY),
        ("operationName", ""),
        ("extensions", "null"),
    ];
    let answer = get(&graph, &unnamed).send().await.ok(200);
    assert!(answer["data"]["products"].is_object(), "{answer}");

    let mutation = "mutation M { signIn(email: \"x\", password: \"x\") { tokenType } }";
    let both = format!("{mutation} query Q {{ me {{ id }} }}");
    for parameters in [
        &[("query", mutation)][..],
        &[("query", &both), ("operationName", "M")],
    ] {
        let answer = get(&graph, parameters).send().await;
        answer.problem(405, "/graphql");
        assert_eq!(answer.header("allow"), "POST");
    }
    for parameters in [
        &[][..],
        &[("query", QUERY), ("variables", "{")],
        &[
            ("query", query),
            ("operationName", "Q"),
            ("variables", "{\"n\": 2.5}"),
        ],
        // Which of two is meant cannot be told.
        &[("query", QUERY), ("query", "{ me { id } }")],
        &[("query", QUERY), ("variables", "{}"), ("variables", "null")],
        &[("query", "{")],
    ] {
        let answer = get(&graph, parameters).send().await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let browsed = [("browse", 2), ("browse", 2), ("browse", 1)];
    assert_eq!(graph.goods.calls(), browsed);
}

#[tokio::test]
async fn only_json_is_taken_and_one_operation_at_a_time() {
    let graph = Graph::start().await;
    // What a form on somebody else's page can send.
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        let call = graph
            .gateway
            .post("/graphql")
            .header("content-type", media_type);
        let body = json!({ "query": QUERY }).to_string();
        call.body(body).send().await.problem(415, "/graphql");
    }
    for body in [
        json!([{ "query": QUERY }]).to_string(),
        "  [".to_owned(),
        "{".to_owned(),
        String::new(),
        json!({ "query": 1 }).to_string(),
        json!({ "query": QUERY, "variables": [] }).to_string(),
        json!({}).to_string(),
    ] {
        let call = graph
            .gateway
            .post("/graphql")
            .header("content-type", "application/json; charset=utf-8");
        let answer = call.body(body.clone()).send().await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    let call = graph.gateway.call(Method::DELETE, "/graphql");
    call.send().await.problem(405, "/graphql");
    assert_eq!(graph.goods.calls(), []);
}

#[tokio::test]
async fn a_query_is_sent_once_and_then_named_by_its_hash() {
    let graph = Graph::start().await;
    let persisted = |hash: &str| json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    let named = json!({ "extensions": persisted(HASH) });
    let sent = json!({ "query": QUERY, "extensions": persisted(HASH) });

    let unknown = graph.post(&named).send().await.ok(200);
    assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound");
    let code = &unknown["errors"][0]["extensions"]["code"];
    assert_eq!(
        (code, unknown.get("data")),
        (&json!("persisted-query-not-found"), None)
    );
    // To who goes by the status, 200 is an answer with data.
    let by_status = graph
        .post(&named)
        .header("accept", "application/graphql-response+json");
    assert_eq!(by_status.send().await.ok(404), unknown);
    let first = graph.post(&sent).send().await.ok(200);
    assert!(first["data"]["products"].is_object(), "{first}");
    assert_eq!(graph.post(&named).send().await.ok(200), first);
    let by_address = [("extensions", persisted(HASH).to_string())];
    let by_address = get(&graph, &[(by_address[0].0, &by_address[0].1)]);
    assert_eq!(by_address.send().await.ok(200), first);

    // Nobody names another's query, or one that is refused.
    let other = HASH.replace('a', "b");
    for (query, hash) in [
        (QUERY, other.as_str()),
        (QUERY, "x"),
        (QUERY, &"é".repeat(32)),
    ] {
        let body = json!({ "query": query, "extensions": persisted(hash) });
        graph.post(&body).send().await.ok(400);
    }
    graph
        .post(&json!({ "extensions": persisted(&other) }))
        .send()
        .await
        .ok(200);
    let version = json!({ "query": QUERY, "extensions": { "persistedQuery": { "version": 2, "sha256Hash": HASH } } });
    graph.post(&version).send().await.ok(400);
}

#[tokio::test]
async fn the_schema_can_be_asked_for_where_that_is_allowed() {
    let graph = Graph::start().await;
    let seen = graph.ask(INTROSPECTION).await;
    let types = seen["__schema"]["types"].as_array().unwrap();
    assert!(
        types.iter().any(|it| it["name"] == "OrderConnection"),
        "{seen}"
    );

    let closed = Graph::start_with(Default::default(), &["--graphql-introspection=false"]).await;
    for query in [
        INTROSPECTION,
        "{ __type(name: \"User\") { name } }",
        "fragment a on Query { __schema { queryType { name } } } { ...a }",
    ] {
        let answer = closed.post(&json!({ "query": query })).send().await.ok(403);
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "forbidden",
            "{answer}"
        );
        assert!(!answer.to_string().contains("OrderConnection"), "{answer}");
    }
    let seen = closed
        .ask("{ __typename products(first: 1) { __typename } }")
        .await;
    assert_eq!(seen["products"]["__typename"], "ProductConnection");
}

#[tokio::test]
async fn the_console_loads_files_of_the_gateway_only() {
    let graph = Graph::start().await;
    let page = graph
        .gateway
        .get("/graphql")
        .header("accept", "text/html,*/*;q=0.8")
        .send()
        .await;
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let mut files = 0;
    for attribute in ["src=\"", "href=\""] {
        for path in page.split(attribute).skip(1) {
            let path = path.split('"').next().unwrap();
            assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
            let file = graph.gateway.get(path).send().await;
            assert_eq!(file.status, 200, "{path}");
            assert_eq!(file.header("x-content-type-options"), "nosniff");
            // The name of a language, which nobody asks for.
            let text = String::from_utf8(file.body.to_vec()).unwrap();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !text.contains("http://") && !text.contains("https://"),
                "{path}"
            );
            files += 1;
        }
    }
    assert_eq!(files, 3);
    assert!(
        !page.contains("style=") && !page.contains("onclick="),
        "{page}"
    );
    // No script in the page itself.
    assert!(
        page.split("<script")
            .skip(1)
            .all(|tag| tag.contains("></script>")),
        "{page}"
    );
}

/// To offer another protocol makes no handshake: what is none is answered as documented.
#[tokio::test]
async fn an_upgrade_that_cannot_be_is_no_other_status() {
    let graph = Graph::start().await;
    let offered = graph
        .gateway
        .call(Method::HEAD, "/graphql")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("accept", "text/html");
    assert_eq!(offered.send().await.status, 200);

    // As some proxies speak.
    let mut old = TcpStream::connect(graph.gateway.address).await.unwrap();
    let handshake = "GET /graphql HTTP/1.0\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-protocol: graphql-transport-ws\r\n\r\n";
    old.write_all(handshake.as_bytes()).await.unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

/// It is bounded like all, with where to look for what happened.
#[tokio::test]
async fn what_the_door_refuses_is_a_problem_document() {
    let graph = Graph::start().await;
    let query = format!("{{ a }} # {}", "x".repeat(40_000));
    let answer = graph.post(&json!({ "query": query })).send().await;
    let problem: Value = answer.problem(413, "/graphql");
    assert_eq!(problem["detail"], "the body may have at most 32768 bytes");
}
