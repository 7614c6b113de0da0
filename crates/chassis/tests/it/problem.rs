//! The shape of every kind of problem.

use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::routing::get;
use chassis::admin::{self, Access, Clients, DeadLetters};
use chassis::health::Health;
use chassis::http::Options;
use chassis::limits::Limits;
use chassis::problem::{FieldError, Problem};
use chassis::{ServiceInfo, Shutdown, grpc, http, listen};

use crate::support::raw::Raw;
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
            Problem::conflict("x").with_kind(ORDER_CLOSED),
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
        assert_eq!(document["type"], format!("/problems/{slug}"));
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

chassis::kinds! {
    /// Of these tests.
    OWN;
    /// A kind that only one service has.
    ORDER_CLOSED = CONFLICT, "order-closed", "The order is closed", "It is closed.", "Open it.";
}

const TYPES: &str = "https://example.com/errors/";

/// Every way to refuse a request has the base of its service: the routes' own, a gRPC door's to what is no call, and an
/// admin port's.
#[tokio::test]
async fn types_begin_as_the_service_says() {
    let service = ServiceInfo {
        problem_types: TYPES,
        ..ServiceInfo::from("typed")
    };
    let door = http::standard(service, 10, Limits::default()).around(Router::new());
    let server = Server::plain(door, Options::default()).await;
    let missing = server.get("/").await.json();
    assert_eq!(missing["type"], format!("{TYPES}not-found"));
    server.stop().await;

    let methods = grpc::Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
    let calls = Router::new().layer(grpc::standard(service, methods, Limits::default()));
    let server = Server::plain(calls, Options::default()).await;
    let no_call = server.send(Method::POST, "/", &[], "").await.json();
    assert_eq!(no_call["type"], format!("{TYPES}unsupported-media-type"));
    server.stop().await;

    let listener = listen::bind("127.0.0.1", 0, "--admin-port", "ADMIN_PORT")
        .await
        .unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), Shutdown::manual());
    let controls = admin::controls(service, Clients::new(), DeadLetters::default(), None);
    let health = Health::new(service);
    let port = admin::serve(
        listener,
        Access::default(),
        health,
        controls,
        shutdown.clone(),
    );
    let served = tokio::spawn(port);
    let ask = async |host: &str| {
        let mut client = Raw::connect(address).await;
        let request = format!("GET /nothing HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        client.send(request).await;
        client.rest().await
    };
    let foreign = ask("elsewhere.example").await;
    assert!(foreign.contains(&format!("{TYPES}forbidden")), "{foreign}");
    shutdown.trigger();
    served.await.unwrap().unwrap();
}
