//! Requests that are wrong: each has its documented 4xx problem, and the client really receives it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use axum::body::Body;
use http::Method;
use serde_json::json;

use crate::support::TestGateway;

const TWO_MEGABYTES: usize = 2 << 20;

#[tokio::test]
async fn what_is_not_there_is_404() {
    let gateway = TestGateway::healthy().await;
    for path in [
        "/page/nothing.js",
        "/api",
        "/api/v1/",
        "/api/nothing",
        "/api/v3/users/me",
        "/api/ordersx",
        "/api/orders/",
        "/api/v1/%6Frders",
        "/graphql/",
        "/v1/orders",
    ] {
        gateway.get(path).send().await.problem(404, path);
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_the_right_ones_are_named() {
    let gateway = TestGateway::healthy().await;
    for (method, path, allowed) in [
        (Method::DELETE, "/api/users", "GET,HEAD,POST"),
        (Method::GET, "/api/v1/sessions", "POST"),
        (Method::POST, "/api/users/me", "GET,HEAD"),
        (Method::PUT, "/.well-known/jwks.json", "GET,HEAD"),
        (Method::PATCH, "/api/dashboard/17", "GET,HEAD"),
    ] {
        let answer = gateway.call(method, path).send().await;
        answer.problem(405, path);
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
    // Of a service behind: its own answer.
    let answer = gateway.call(Method::DELETE, "/api/products").send().await;
    answer.problem(405, "/api/products");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_400() {
    let gateway = TestGateway::healthy().await;
    for body in [
        b"".as_slice(),
        b"{\"email\": ",
        b"not JSON",
        b"{\"email\": \"\xff\xfe\"}",
    ] {
        for path in ["/api/users", "/api/v1/sessions"] {
            let call = gateway
                .post(path)
                .header("content-type", "application/json")
                .body(body.to_vec());
            call.send().await.problem(400, path);
        }
    }
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_422_and_names_all_that_is_wrong() {
    let gateway = TestGateway::healthy().await;
    let (all, some) = (["/email", "/name", "/password"], ["/email", "/password"]);
    for (path, body, wrong) in [
        ("/api/users", "{}", &all[..]),
        ("/api/users", r#"{"email":1,"name":2,"password":3}"#, &all),
        (
            "/api/users",
            r#"{"email":null,"name":null,"password":null}"#,
            &all,
        ),
        (
            "/api/users",
            r#"{"email":"a@b","email":"c@d","name":"A","name":"B","password":[]}"#,
            &all,
        ),
        ("/api/users", "[1]", &[""]),
        ("/api/users", "null", &[""]),
        ("/api/sessions", "{}", &some),
        ("/api/sessions", r#"{"email":[]}"#, &some),
        ("/api/sessions", r#"{"email":{},"password":true}"#, &some),
        (
            "/api/sessions",
            r#"{"email":"a@b","password":"p","password":"q"}"#,
            &["/password"],
        ),
    ] {
        let call = gateway
            .post(path)
            .header("content-type", "application/json");
        let problem = call.body(body).send().await.problem(422, path);
        let errors = problem["errors"].as_array().unwrap().iter();
        let mut pointers: Vec<_> = errors.map(|e| e["pointer"].as_str().unwrap()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, wrong, "{body}: {problem}");
    }
    // Members that are not known are ignored, also when they are large.
    let body = json!({ "email": "bob@example.org", "name": "B", "password": "p", "more": [{}] });
    gateway.post("/api/users").json(&body).send().await.ok(201);
}

#[tokio::test]
async fn a_form_that_nothing_behind_may_see_is_refused() {
    let gateway = TestGateway::healthy().await;
    for path in ["/api/users", "/api/orders", "/api/products/1", "/nowhere"] {
        let answer = gateway.call(Method::TRACE, path).send().await;
        answer.problem(405, path);
        assert_ne!(answer.header("allow"), "", "{path}");
        let coded = gateway.post(path).header("content-encoding", "gzip");
        let answer = coded.body("x").send().await;
        answer.problem(415, path);
        assert_eq!(answer.header("accept-encoding"), "identity");
        let hosts = gateway.get(path).header("host", "a").header("host", "b");
        hosts.send().await.problem(400, path);
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_415() {
    let gateway = TestGateway::healthy().await;
    gateway
        .post("/api/users")
        .body("{}")
        .send()
        .await
        .problem(415, "/api/users");
    let call = gateway
        .post("/api/sessions")
        .header("content-type", "text/plain")
        .body("{}");
    call.send().await.problem(415, "/api/sessions");
}

#[tokio::test]
async fn a_body_without_a_length_cannot_outgrow_the_limit() {
    let gateway = TestGateway::healthy().await;
    for path in ["/api/users", "/api/orders/1"] {
        let chunks = (0..TWO_MEGABYTES / 1024).map(|_| Ok::<_, std::io::Error>(" ".repeat(1024)));
        let call = gateway
            .post(path)
            .header("content-type", "application/json");
        call.body(Body::from_stream(futures::stream::iter(chunks)))
            .send()
            .await
            .problem(413, path);
    }
}

/// Sends everything before it reads anything, as simple clients do. If the gateway closed early, the system
/// would throw the answer away together with the connection.
fn send_all_then_read(address: SocketAddr, path: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {TWO_MEGABYTES}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&vec![b' '; TWO_MEGABYTES]).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn two_megabytes_are_413_and_the_client_hears_it() {
    let gateway = TestGateway::healthy().await;
    for path in [
        "/api/users",
        "/api/sessions",
        "/api/orders",
        "/api/v1/orders/1/cancel",
        "/nowhere",
    ] {
        let address = gateway.address;
        let answer = tokio::task::spawn_blocking(move || send_all_then_read(address, path))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(
            answer.contains("application/problem+json"),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_body_below_the_limit_passes() {
    let gateway = TestGateway::healthy().await;
    let seen = gateway
        .post("/api/orders/1")
        .body(" ".repeat(64 << 10))
        .send()
        .await
        .ok(200);
    assert_eq!(seen["bytes"], 64 << 10);
}
