//! The REST client.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use client::{CallContext, CallError, MAX_RESPONSE_BYTES, ProblemField, RestClient};
use serde_json::{Value, json};

use crate::{PATIENT, SHORT, nobody, peer, serve, silent, undisturbed};

async fn client(router: Router) -> RestClient {
    RestClient::new(peer(serve(router).await, PATIENT))
}

fn answer(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(body.into())
        .unwrap()
}

async fn echo(headers: HeaderMap, body: String) -> axum::Json<Value> {
    let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    axum::Json(json!({
        "authorization": header("authorization"), "key": header("idempotency-key"),
        "type": header("content-type"), "body": body,
    }))
}

#[tokio::test]
async fn a_call_carries_the_callers_token_and_key() {
    let client = client(Router::new().route("/v1/things", post(echo).get(echo))).await;
    let context = CallContext::bearer("t0k3n").with_idempotency_key("once");
    let sent: Value = client
        .post("/v1/things?x=1", &json!({ "a": 1 }), &context)
        .await
        .unwrap();
    let expected = json!({
        "authorization": "Bearer t0k3n", "key": "once", "type": "application/json", "body": "{\"a\":1}"
    });
    assert_eq!(sent, expected);
    let sent: Value = client
        .get("/v1/things", &CallContext::default())
        .await
        .unwrap();
    assert_eq!(
        sent,
        json!({ "authorization": null, "key": null, "type": null, "body": "" })
    );
    assert!(
        !format!("{context:?}").contains("t0k3n"),
        "a token must not reach a log"
    );
}

#[tokio::test]
async fn a_problem_document_is_read_back() {
    let document = json!({
        "type": "about:blank", "title": "Unprocessable", "status": 422, "detail": "no",
        "errors": [{ "pointer": "/items/0", "detail": "too many" }], "trace_id": "abc",
    });
    let router = Router::new().route(
        "/",
        get(move || async move {
            let mut response = answer(422, "application/problem+json", document.to_string());
            response
                .headers_mut()
                .insert("retry-after", "7".parse().unwrap());
            response
        }),
    );
    let Err(CallError::Problem(problem)) = client(router)
        .await
        .get::<Value>("/", &CallContext::default())
        .await
    else {
        panic!("a problem is expected");
    };
    assert_eq!(
        (problem.status, problem.detail.as_deref()),
        (422, Some("no"))
    );
    assert_eq!(
        problem.errors,
        [ProblemField {
            pointer: "/items/0".to_owned(),
            detail: "too many".to_owned()
        }]
    );
    assert_eq!(problem.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_error_without_a_document_still_has_its_status() {
    let router = Router::new()
        .route(
            "/html",
            get(|| async { answer(502, "text/html", "<h1>Bad gateway</h1>") }),
        )
        .route(
            "/lie",
            get(|| async { answer(404, "application/problem+json", "{\"status\": 200}") }),
        );
    let client = client(router).await;
    for (path, status, title) in [("/html", 502, "Bad Gateway"), ("/lie", 404, "Not Found")] {
        match client.get::<Value>(path, &CallContext::default()).await {
            Err(CallError::Problem(problem)) => {
                assert_eq!((problem.status, problem.title.as_str()), (status, title))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_absent_peer_is_unavailable_at_once() {
    let client = RestClient::new(peer(nobody().await, PATIENT));
    let start = Instant::now();
    let error = client
        .get::<Value>("/", &CallContext::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, CallError::Unavailable { .. }) && error.is_unavailable(),
        "{error:?}"
    );
    assert!(start.elapsed() < PATIENT / 2);
}

#[tokio::test]
async fn a_silent_peer_costs_the_timeout_and_no_more() {
    let address = silent().await;
    let error = undisturbed(async || {
        let client = RestClient::new(peer(address, SHORT));
        client
            .get::<Value>("/", &CallContext::default())
            .await
            .unwrap_err()
    })
    .await;
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_never_ends_costs_the_timeout_and_no_more() {
    let endless = || async {
        let head = tokio_stream::once(Ok::<_, std::io::Error>("["));
        Body::from_stream(tokio_stream::StreamExt::chain(
            head,
            tokio_stream::pending(),
        ))
    };
    let address = serve(Router::new().route("/", get(endless))).await;
    let error = undisturbed(async || {
        let client = RestClient::new(peer(address, SHORT));
        client
            .get::<Value>("/", &CallContext::default())
            .await
            .unwrap_err()
    })
    .await;
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_not_read() {
    let router = Router::new().route("/", get(|| async { " ".repeat(MAX_RESPONSE_BYTES + 1) }));
    let error = client(router)
        .await
        .get::<Value>("/", &CallContext::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("length limit"), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_a_disagreement() {
    let router = Router::new().route("/", get(|| async { (StatusCode::OK, "{\"a\": 1}") }));
    let error = client(router)
        .await
        .get::<Vec<u8>>("/", &CallContext::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, CallError::Decode { .. }) && !error.is_unavailable(),
        "{error:?}"
    );
}
