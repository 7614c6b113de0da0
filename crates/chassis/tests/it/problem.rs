//! The shape of every kind of problem.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::problem::{FieldError, Problem};

use crate::support::server::Server;

/// A problem, and the status, slug and header it must have.
type Kind = (
    Problem,
    u16,
    &'static str,
    Option<(&'static str, &'static str)>,
);

#[tokio::test]
async fn every_constructor_has_its_status_type_and_headers() {
    let kinds: Vec<Kind> = vec![
        (Problem::bad_request("x"), 400, "bad-request", None),
        (
            Problem::unauthorized(),
            401,
            "unauthorized",
            Some(("www-authenticate", "Bearer")),
        ),
        (Problem::forbidden(), 403, "forbidden", None),
        (Problem::not_found(), 404, "not-found", None),
        (Problem::conflict("x"), 409, "conflict", None),
        (
            Problem::payload_too_large(5),
            413,
            "payload-too-large",
            None,
        ),
        (
            Problem::unsupported_media_type(),
            415,
            "unsupported-media-type",
            None,
        ),
        (
            Problem::unprocessable(vec![FieldError::new("/a", "b")]),
            422,
            "unprocessable",
            None,
        ),
        (
            Problem::too_many_requests(Duration::from_millis(1500)),
            429,
            "too-many-requests",
            Some(("retry-after", "2")),
        ),
        (
            Problem::internal(&std::io::Error::other("x")),
            500,
            "internal-error",
            None,
        ),
        (
            Problem::unavailable(Duration::ZERO, "x"),
            503,
            "unavailable",
            Some(("retry-after", "1")),
        ),
        (Problem::gateway_timeout(), 504, "gateway-timeout", None),
        (
            Problem::conflict("x").with_kind("order-closed", "The order is closed"),
            409,
            "order-closed",
            None,
        ),
    ];
    for (problem, status, slug, header) in kinds {
        let server =
            Server::standard(Router::new().route("/", get(move || async move { problem }))).await;
        let answer = server.get("/").await;
        let document = answer.problem(status);
        assert_eq!(
            document["type"],
            format!("https://agora.example/problems/{slug}")
        );
        assert_eq!(document["instance"], "/");
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(value), "{slug}");
        }
        if status == 422 {
            assert_eq!(
                document["errors"],
                serde_json::json!([{"pointer": "/a", "detail": "b"}])
            );
        } else {
            assert!(document.get("errors").is_none());
        }
        server.stop().await;
    }
}
