//! What the extractors refuse, and how.

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use axum::routing::{get, post};
use chassis::auth::Caller;
use chassis::extract::{Json, OptionalCaller, Path, Query};
use chassis::problem::ERRORS_MAX;
use deserr::Deserr;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::support::server::{Answer, Server};

#[derive(Deserr)]
struct Order {
    items: Vec<Item>,
    #[deserr(default)]
    note: Note,
}

#[derive(Deserr)]
struct Item {
    quantity: u32,
}

#[derive(Deserr, Default)]
struct Note {
    #[deserr(rename = "a/b~c", default)]
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
    // A number without a fraction is an integer, as JSON Schema has it.
    let written = r#"{"items": [{"quantity": 2.0}, {"quantity": 3e0}, {"quantity": -0.0}], "note": {"a/b~c": 10e-1}}"#;
    assert_eq!(order(&server, written).await.text(), "5 1");
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

/// (pointer, detail) of each error.
fn errors(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["detail"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn wrong_types_and_missing_fields_are_422_with_a_pointer() {
    let server = server().await;
    let bodies = [
        (
            r#"{"items": [{"quantity": 1}, {"quantity": "2"}]}"#,
            "/items/1/quantity",
            "must be a whole number that is not negative",
        ),
        (
            r#"{"items": [{"quantity": -1}]}"#,
            "/items/0/quantity",
            "must be a whole number that is not negative",
        ),
        (
            r#"{"items": [{"quantity": 1e99}]}"#,
            "/items/0/quantity",
            "must be a whole number that is not negative",
        ),
        (
            r#"{"items": [{"quantity": 1.5}]}"#,
            "/items/0/quantity",
            "must be a whole number that is not negative",
        ),
        (
            r#"{"items": [{"quantity": -1.0}]}"#,
            "/items/0/quantity",
            "must be a whole number that is not negative",
        ),
        // 2⁵³: it may have been another number.
        (
            r#"{"items": [{"quantity": 9007199254740992.0}]}"#,
            "/items/0/quantity",
            "must be a whole number that is not negative",
        ),
        (r#"{"items": [{}]}"#, "/items/0/quantity", "is missing"),
        (r#"{}"#, "/items", "is missing"),
        (r#"{"items": null}"#, "/items", "must be a list, not null"),
        (r#"{"items": {}}"#, "/items", "must be a list"),
        (
            r#"{"items": [], "note": {"a/b~c": 300}}"#,
            "/note/a~1b~0c",
            "value: `300` is too large to be deserialized, maximum value authorized is `255`",
        ),
        (r#"null"#, "", "must be an object, not null"),
        (
            r#"{"items": [], "items": []}"#,
            "/items",
            "is given more than once",
        ),
        (
            r#"{"items": [], "unknown": [{"a": 1, "a": 1}]}"#,
            "/unknown/0/a",
            "is given more than once",
        ),
    ];
    for (body, pointer, detail) in bodies {
        let problem = order(&server, body).await.problem(422);
        assert_eq!(errors(&problem), [(pointer, detail)], "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let server = server().await;
    let body = r#"{"items": [{"quantity": "1"}, {}, {"quantity": 1}, 4], "note": {"a/b~c": null}, "note": {"a/b~c": "x"}}"#;
    let problem = order(&server, body).await.problem(422);
    let mut pointers: Vec<_> = errors(&problem).into_iter().map(|(at, _)| at).collect();
    pointers.sort_unstable();
    let expected = [
        "/items/0/quantity",
        "/items/1/quantity",
        "/items/3",
        "/note",
        "/note/a~1b~0c",
    ];
    assert_eq!(pointers, expected);
    server.stop().await;
}

/// An answer must not be larger than what it answers to, however many mistakes that has and however long their names are.
#[tokio::test]
async fn the_list_of_mistakes_is_bounded() {
    let server = server().await;
    let body = format!("{{\"items\": [{}]}}", ["{}"; 250].join(","));
    let problem = order(&server, body).await.problem(422);
    assert_eq!(errors(&problem).len(), ERRORS_MAX);
    assert_eq!(problem["detail"], "150 more errors are not listed");

    let name = "ü".repeat(200);
    let body = format!(
        "{{\"items\": [], \"{name}\": [{}]}}",
        [r#"{"a":1,"a":1}"#; 30].join(",")
    );
    let problem = order(&server, body).await.problem(422);
    assert_eq!(errors(&problem).len(), 30);
    for (pointer, _) in errors(&problem) {
        assert!(pointer.len() < 300, "{pointer}");
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
    // Which of two is meant cannot be told; what nobody knows does no harm, however often.
    server
        .get("/page?page_size=1&page_size=2")
        .await
        .problem(400);
    let page = server.get("/page?page_size=1&other=x&other=y").await;
    assert_eq!(page.text(), "Some(1)");
    let answer = server.get("/me").await;
    answer.problem(401);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(server.get("/maybe").await.text(), "None");
    server.stop().await;
}
