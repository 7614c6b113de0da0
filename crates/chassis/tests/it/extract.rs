//! What the extractors refuse, and how.

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use axum::routing::{get, post};
use chassis::auth::Caller;
use chassis::extract::{Json, OptionalCaller, Path, Query};
use serde::Deserialize;
use uuid::Uuid;

use crate::support::server::{Answer, Server};

#[derive(Deserialize)]
struct Order {
    items: Vec<Item>,
    #[serde(default)]
    note: Note,
}

#[derive(Deserialize)]
struct Item {
    quantity: u32,
}

#[derive(Deserialize, Default)]
struct Note {
    #[serde(rename = "a/b~c", default)]
    odd: u8,
}

#[derive(Deserialize)]
struct Page {
    page_size: Option<u32>,
}

async fn server() -> Server {
    let order = |Json(order): Json<Order>| async move {
        let sum: u32 = order.items.iter().map(|item| item.quantity).sum();
        format!("{sum} {}", order.note.odd)
    };
    let router = Router::new()
        .route("/orders", post(order))
        .route(
            "/orders/{id}",
            get(|Path(id): Path<Uuid>| async move { id.to_string() }),
        )
        .route(
            "/page",
            get(|Query(page): Query<Page>| async move { format!("{:?}", page.page_size) }),
        )
        .route(
            "/me",
            get(|caller: Caller| async move { caller.user_id.to_string() }),
        )
        .route(
            "/maybe",
            get(|OptionalCaller(caller): OptionalCaller| async move { format!("{caller:?}") }),
        );
    Server::standard(router).await
}

async fn order(server: &Server, body: impl Into<Body>) -> Answer {
    server.post("/orders", "application/json", body).await
}

#[tokio::test]
async fn json_of_the_right_type_is_taken() {
    let server = server().await;
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/cloudevents+json",
    ] {
        let answer = server
            .post(
                "/orders",
                content_type,
                r#"{"items": [{"quantity": 2}, {"quantity": 3}]}"#,
            )
            .await;
        assert_eq!(answer.text(), "5 0");
    }
    server.stop().await;
}

#[tokio::test]
async fn unreadable_bodies_are_400() {
    let server = server().await;
    let bodies: [(&[u8], &str); 6] = [
        (b"", "the body is empty"),
        (b"{\"items\": [", "the body is not valid JSON: EOF"),
        (b"items=1", "the body is not valid JSON: expected value"),
        (b"{\"items\": []} {}", "trailing characters"),
        (b"{\"items\": \"\xff\"}", "the body is not UTF-8"),
        (b"{\"items\": [],}", "the body is not valid JSON"),
    ];
    for (body, detail) in bodies {
        let problem = order(&server, body.to_vec()).await.problem(400);
        assert!(
            problem["detail"].as_str().unwrap().contains(detail),
            "{problem}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn deep_nesting_is_refused_and_not_a_crash() {
    let server = server().await;
    let deep = format!("{{\"other\": {}", "[".repeat(900));
    order(&server, deep).await.problem(400);
    server.stop().await;
}

#[tokio::test]
async fn wrong_types_and_missing_fields_are_422_with_a_pointer() {
    let server = server().await;
    let bodies = [
        (
            r#"{"items": [{"quantity": 1}, {"quantity": "2"}]}"#,
            "/items/1/quantity",
            "invalid type: string \"2\", expected u32",
        ),
        (
            r#"{"items": [{"quantity": -1}]}"#,
            "/items/0/quantity",
            "invalid value: integer `-1`, expected u32",
        ),
        (
            r#"{"items": [{"quantity": 1e99}]}"#,
            "/items/0/quantity",
            "invalid type: floating point",
        ),
        (
            r#"{"items": [{}]}"#,
            "/items/0/quantity",
            "missing field `quantity`",
        ),
        (r#"{}"#, "/items", "missing field `items`"),
        (
            r#"{"items": {}}"#,
            "/items",
            "invalid type: map, expected a sequence",
        ),
        (
            r#"{"items": [], "note": {"a/b~c": 300}}"#,
            "/note/a~1b~0c",
            "invalid value",
        ),
        (r#"null"#, "", "invalid type: null, expected struct Order"),
    ];
    for (body, pointer, detail) in bodies {
        let problem = order(&server, body).await.problem(422);
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{body}: {problem}"
        );
        let said = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(
            said.contains(detail) && !said.contains("line"),
            "{body}: {said}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn other_content_types_are_415() {
    let server = server().await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let answer = server
            .post("/orders", content_type, r#"{"items": []}"#)
            .await;
        assert_eq!(answer.problem(415)["detail"], "send application/json");
    }
    let none = server
        .send(Method::POST, "/orders", &[], r#"{"items": []}"#)
        .await;
    none.problem(415);
    server.stop().await;
}

#[tokio::test]
async fn paths_queries_and_callers() {
    let server = server().await;
    server.get("/orders/not-a-uuid").await.problem(404);
    server.get("/orders/%ff").await.problem(404);
    assert_eq!(
        server.get(&format!("/orders/{}", Uuid::nil())).await.text(),
        Uuid::nil().to_string()
    );
    assert_eq!(server.get("/page").await.text(), "None");
    let problem = server.get("/page?page_size=many").await.problem(400);
    assert!(
        problem["detail"].as_str().unwrap().contains("page_size"),
        "{problem}"
    );
    let answer = server.get("/me").await;
    answer.problem(401);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(server.get("/maybe").await.text(), "None");
    server.stop().await;
}
