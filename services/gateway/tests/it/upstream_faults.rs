//! Services behind that are dead, slow or stuck.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use contracts::identity::CUSTOMER;
use http::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    FakeShop, FakeUsers, nobody, serve, silent, start, start_with_orders_at, token_for,
};

/// Far more than an answer needs, far less than a client would wait.
const PROMPT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_dead_service_is_503_at_once() {
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(
        users,
        nobody().await,
        &["--products-client=deadline=60s,attempt=60s"],
    )
    .await;
    let started = Instant::now();
    let answer = gateway.get("/api/products").send().await;
    let problem = answer.problem(503, "/api/products");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(problem["detail"], "products is unavailable at the moment");
    assert!(started.elapsed() < PROMPT);
}

#[tokio::test]
async fn a_hanging_service_is_504_after_the_timeout() {
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, silent().await, &["--orders-client=deadline=200ms"]).await;
    let started = Instant::now();
    let problem = gateway
        .get("/api/orders/1")
        .send()
        .await
        .problem(504, "/api/orders/1");
    assert_eq!(problem["detail"], "orders did not answer in time");
    assert!(started.elapsed() < PROMPT);
}

/// A sidecar says so in a line of text, and so does a balancer, or whatever else is at a service's address.
#[tokio::test]
async fn an_error_of_a_stranger_is_a_problem_document_without_its_words() {
    let strange =
        |status: StatusCode| get(move || std::future::ready((status, "connect error at 10.0.0.7")));
    let strangers = Router::new()
        .route("/v1/products/away", strange(StatusCode::NOT_FOUND))
        .route(
            "/v1/products/broken",
            strange(StatusCode::INTERNAL_SERVER_ERROR),
        )
        .route("/v1/orders/busy", strange(StatusCode::SERVICE_UNAVAILABLE))
        .route("/v1/orders/many", strange(StatusCode::TOO_MANY_REQUESTS))
        .route(
            "/v1/orders/no",
            get(|| async { (StatusCode::METHOD_NOT_ALLOWED, [("allow", "PUT")]) }),
        );
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, serve(strangers).await, &[]).await;
    let token = token_for(Uuid::now_v7(), CUSTOMER);
    for (path, status, retry_after) in [
        ("/api/v1/products/away", 404, ""),
        ("/api/v1/products/broken", 502, ""),
        ("/api/v1/orders/busy", 503, "1"),
        ("/api/v1/orders/many", 429, "1"),
        ("/api/v1/orders/no", 405, ""),
    ] {
        let answer = gateway.get(path).token(&token).send().await;
        let problem = answer.problem(status, path);
        assert_eq!(answer.header("retry-after"), retry_after, "{path}");
        assert!(!problem.to_string().contains("10.0.0.7"), "{problem}");
        let allowed = if status == 405 { "PUT" } else { "" };
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
}

#[tokio::test]
async fn a_stuck_route_holds_a_bounded_number_of_connections_and_gives_them_back() {
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--orders-client=bulkhead=1+1/200ms",
        "--products-client=bulkhead=1",
    ];
    let gateway = start(users, FakeShop::default().serve().await, &flags).await;
    let stuck = gateway.get("/api/orders/endless").begin().await;
    assert_eq!(stuck.status(), 200);
    let problem = gateway
        .get("/api/orders/1")
        .send()
        .await
        .problem(503, "/api/orders/1");
    assert_eq!(problem["detail"], "orders is unavailable at the moment");
    // Another service has connections of its own.
    gateway.get("/api/products/1").send().await.ok(200);
    drop(stuck);
    let free = async {
        while gateway.get("/api/orders/1").send().await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(6 * PROMPT, free).await.unwrap();
}

#[tokio::test]
async fn dead_users_are_503_and_do_not_stop_the_rest() {
    let gateway = start(nobody().await, FakeShop::default().serve().await, &[]).await;
    let new = json!({ "email": "a@b", "name": "A", "password": "long enough" });
    let answer = gateway.post("/api/users").json(&new).send().await;
    answer.problem(503, "/api/users");
    assert_eq!(answer.header("retry-after"), "1");
    gateway
        .post("/api/sessions")
        .json(&new)
        .send()
        .await
        .problem(503, "/api/sessions");
    gateway
        .get("/.well-known/jwks.json")
        .send()
        .await
        .problem(503, "/.well-known/jwks.json");
    // Whether this token is good cannot be told.
    let token = token_for(Uuid::max(), CUSTOMER);
    let answer = gateway.get("/api/users/me").token(&token).send().await;
    answer.problem(503, "/api/users/me");
    assert_eq!(answer.header("retry-after"), "1");
    // Who only looks needs no users.
    gateway.get("/api/products/1").send().await.ok(200);
}

#[tokio::test]
async fn hanging_users_are_504() {
    let (users, _) = FakeUsers {
        hangs: true,
        ..Default::default()
    }
    .serve()
    .await;
    let gateway = start(
        users,
        FakeShop::default().serve().await,
        // The keys come from there, too, and on a busy machine they take a moment.
        &["--users-client=deadline=3s"],
    )
    .await;
    let token = token_for(Uuid::max(), CUSTOMER);
    gateway
        .get("/api/users/me")
        .token(&token)
        .send()
        .await
        .problem(504, "/api/users/me");
}

/// One of two instances has just gone, and the caller's request has a body: it was not read yet by anybody, so
/// the other instance gets it.
#[tokio::test]
async fn a_short_request_goes_to_the_other_of_two_instances_if_one_is_gone() {
    let (users, _) = FakeUsers::default().serve().await;
    let shop = FakeShop::default().serve().await;
    let orders = format!("http://{},http://{shop}", nobody().await);
    let gateway = start_with_orders_at(users, &orders, shop, &[]).await;
    for quantity in 1..=20 {
        let body = json!({ "quantity": quantity });
        let answer = gateway
            .call(Method::POST, "/api/orders/1/cancel")
            .json(&body);
        let seen = answer.send().await.ok(200);
        assert_eq!(seen["body"], body.to_string());
    }
}
