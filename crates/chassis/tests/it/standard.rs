//! What every request passes through: problems, panics, metrics, traces.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, post};
use chassis::http::{self, Options, intake};
use chassis::limits::Limits;
use chassis::problem::Problem;
use chassis::trace;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::support::{eventually, log, series};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn router() -> Router {
    Router::new()
        .route(
            "/things/{id}",
            get(|| async { "thing" }).delete(|| async { StatusCode::NO_CONTENT }),
        )
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .route(
            "/conflict",
            post(|| async { Problem::conflict("somebody was faster") }),
        )
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("secret-7421 of the house")
                }
            }),
        )
        .route(
            "/trace",
            get(|| async { trace::current().traceparent.unwrap_or_default() }),
        )
        .route(
            "/log",
            get(|| async { tracing::info!("a line within a request") }),
        )
        .route("/wait", get(std::future::pending::<()>))
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let server = Server::standard(router()).await;
    let missing = server.get("/nowhere?x=1").await.problem(404);
    assert_eq!(missing["type"], "/problems/not-found");
    assert_eq!(missing["instance"], "/nowhere");
    let answer = server.send(Method::PUT, "/things/1", &[], "").await;
    assert_eq!(answer.problem(405)["type"], "/problems/method-not-allowed");
    let mut allowed: Vec<_> = answer.header("allow").unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD"]);
    // Any bare error of a handler becomes one, too.
    assert_eq!(
        server.get("/teapot").await.problem(418)["title"],
        "The request cannot be served"
    );
    // HEAD has no body, whatever the status.
    let head = server.send(Method::HEAD, "/nowhere", &[], "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::NOT_FOUND, 0));
    server.stop().await;
}

#[tokio::test]
async fn problems_name_the_request_and_its_trace() {
    let server = Server::standard(router()).await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [
        ("traceparent", parent.as_str()),
        // What anybody can say of itself is not believed.
        ("x-forwarded-uri", "/forged"),
    ];
    let problem = server
        .send(Method::POST, "/conflict", &headers, "")
        .await
        .problem(409);
    assert_eq!(problem["instance"], "/conflict");
    assert_eq!(problem["trace_id"], TRACE);
    assert_eq!(problem["detail"], "somebody was faster");
    let long = format!("/conflict?{}", "x".repeat(5_000));
    let own = server.send(Method::POST, &long, &[], "").await.problem(409);
    assert_eq!(own["instance"], "/conflict");
    assert_ne!(own["trace_id"], TRACE);
    assert_eq!(own["trace_id"].as_str().unwrap().len(), 32);
    server.stop().await;
}

#[tokio::test]
async fn an_incoming_trace_goes_on() {
    let server = Server::standard(router()).await;
    let seen = async |headers: &[(&str, &str)]| {
        server.send(Method::GET, "/trace", headers, "").await.text()
    };
    let sampled = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let own = seen(&[("traceparent", &sampled)]).await;
    assert!(
        own.starts_with(&format!("00-{TRACE}-")) && own.ends_with("-01"),
        "{own}"
    );
    assert!(
        !own.contains("00f067aa0ba902b7"),
        "a span of its own: {own}"
    );
    // Each request without one, or with rubbish, begins its own trace; ids exist without an exporter.
    let rubbish = seen(&[("traceparent", "rubbish")]).await;
    let fresh = seen(&[]).await;
    assert_eq!(fresh.len(), 55, "{fresh}");
    assert_eq!(rubbish.len(), 55, "{rubbish}");
    assert_ne!(fresh[3..35], rubbish[3..35]);
    server.stop().await;
}

#[tokio::test]
async fn the_outer_door_takes_no_more_than_every_hop_can_carry() {
    let door = http::standard("test", 1000, Limits::default())
        .outer()
        .around(router());
    let server = Server::plain(door, Options::default()).await;
    let long = "x".repeat(intake::HEADER_BYTES_MAX);
    let refused = server
        .send(Method::GET, "/trace", &[("x-long", &long)], "")
        .await;
    assert_eq!(refused.problem(431)["instance"], "/trace");
    let long = format!("/trace?{}", "x".repeat(intake::URI_BYTES_MAX));
    let refused = server.get(&long).await;
    assert_eq!(refused.problem(414)["instance"], "/trace");
    server.stop().await;
}

/// Over HTTP/2 a server of hyper takes 16 KiB of headers unless it is told otherwise.
#[tokio::test]
async fn a_door_inside_takes_what_the_outer_one_took() {
    let server = Server::standard(router()).await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Body>();
    let uri = format!(
        "http://{}/trace?{}",
        server.address,
        "x".repeat(intake::URI_BYTES_MAX - 10)
    );
    let request = Request::get(uri).header("x-long", "x".repeat(intake::HEADER_BYTES_MAX));
    let answer = client.request(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn log_lines_in_a_request_carry_its_trace_and_service() {
    let server = Server::standard(router()).await;
    let trace = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01";
    let parent = format!("00-{trace}-00f067aa0ba902b7-00");
    server
        .send(Method::GET, "/log", &[("traceparent", &parent)], "")
        .await;
    let lines = log::lines_with(trace);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["message"], "a line within a request");
    assert_eq!(lines[0]["trace_id"], trace);
    assert_eq!(lines[0]["service"], "test");
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_500_without_detail_and_one_log_line() {
    let server = Server::standard(router()).await;
    let trace = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa02";
    let parent = format!("00-{trace}-00f067aa0ba902b7-00");
    let answer = server
        .send(Method::GET, "/panic", &[("traceparent", &parent)], "")
        .await;
    assert_eq!(answer.problem(500)["trace_id"], trace);
    assert!(!answer.text().contains("7421"), "{}", answer.text());
    let lines = log::lines_with("secret-7421");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (lines[0]["trace_id"].as_str(), lines[0]["level"].as_str()),
        (Some(trace), Some("ERROR"))
    );
    assert!(lines[0]["place"].as_str().unwrap().contains("standard.rs"));
    // The server lives on.
    assert_eq!(server.get("/things/1").await.text(), "thing");
    server.stop().await;
}

#[tokio::test]
async fn internal_errors_are_logged_once_with_their_causes_and_not_told() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the stock")]
    struct Outer(#[source] std::io::Error);
    log::init();
    let fail =
        || async { Problem::internal(&Outer(std::io::Error::other("disk-9913 is on fire"))) };
    let server = Server::standard(Router::new().route("/", get(fail))).await;
    let answer = server.get("/").await;
    answer.problem(500);
    assert!(!answer.text().contains("stock") && !answer.text().contains("9913"));
    let lines = log::lines_with("disk-9913");
    assert_eq!(lines.len(), 1);
    assert_eq!(
        lines[0]["error"],
        "cannot read the stock: disk-9913 is on fire"
    );
    assert_eq!(lines[0]["trace_id"], answer.json()["trace_id"]);
    server.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_matched_route_method_and_class() {
    let server = Server::plain(
        chassis::http::standard("red", 10, Limits::default()).around(router()),
        chassis::http::Options::default(),
    )
    .await;
    for id in 0..3 {
        server.get(&format!("/things/{id}")).await;
        server.get(&format!("/nowhere/{id}")).await;
    }
    server
        .send(Method::from_bytes(b"BREW").unwrap(), "/things/1", &[], "")
        .await;
    let metrics = chassis::metrics::render();
    let count = |labels: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("http_requests_total{{{labels}}} ")));
        line.unwrap_or_else(|| panic!("no {labels} in\n{metrics}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    assert_eq!(
        count(r#"service="red",method="GET",route="/things/{id}",status="2xx""#),
        3
    );
    assert_eq!(
        count(r#"service="red",method="GET",route="unmatched",status="4xx""#),
        3
    );
    assert_eq!(
        count(r#"service="red",method="OTHER",route="/things/{id}",status="4xx""#),
        1
    );
    assert!(!metrics.contains("/nowhere"), "a raw path is a label");
    assert!(!metrics.contains("BREW"));
    let buckets = r#"http_request_duration_seconds_bucket{service="red",method="GET",route="/things/{id}",le="10"} 3"#;
    assert!(metrics.contains(buckets), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let server = Server::plain(
        chassis::http::standard("left", 10, Limits::default()).around(router()),
        chassis::http::Options::default(),
    )
    .await;
    let mut client = Raw::connect(server.address).await;
    client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    eventually("it is in flight", || async {
        chassis::metrics::render().contains(r#"http_requests_in_flight{service="left"} 1"#)
    })
    .await;
    drop(client);
    let line =
        r#"http_requests_total{service="left",method="GET",route="/wait",status="cancelled"} 1"#;
    eventually("it is counted", || async {
        chassis::metrics::render().contains(line)
    })
    .await;
    assert!(chassis::metrics::render().contains(r#"http_requests_in_flight{service="left"} 0"#));
    server.stop().await;
}

/// Two hosts, or one that two hops read differently, are how a request comes to another site's answers.
#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::standard(router()).await;
    for host in [
        "",
        "host: a\r\nhost: a\r\n",
        "host: a b\r\n",
        "host: \r\n",
        "host: me@a\r\n",
    ] {
        let mut client = Raw::connect(server.address).await;
        client
            .send(format!("GET /things/1 HTTP/1.1\r\n{host}\r\n"))
            .await;
        let answer = client.response().await;
        assert!(answer.starts_with("http/1.1 400 "), "{host:?}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    // Before HTTP/1.1 there was no Host.
    let mut client = Raw::connect(server.address).await;
    client.send("GET /things/1 HTTP/1.0\r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.0 200 "));
    server.stop().await;
}

#[tokio::test]
async fn trace_and_connect_are_405_everywhere() {
    let server = Server::standard(router()).await;
    for path in ["/things/1", "/nowhere"] {
        let answer = server.send(Method::TRACE, path, &[], "").await;
        answer.problem(405);
        assert!(answer.header("allow").unwrap().contains("GET"));
    }
    let mut client = Raw::connect(server.address).await;
    client
        .send("CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n")
        .await;
    let answer = client.response().await;
    assert!(answer.starts_with("http/1.1 405 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_coded_body_is_415_and_the_client_is_told_what_is_taken() {
    let server = Server::standard(router()).await;
    for coding in ["gzip", "br", "identity, gzip"] {
        let headers = [
            ("content-encoding", coding),
            ("content-type", "application/json"),
        ];
        let answer = server.send(Method::POST, "/conflict", &headers, "x").await;
        answer.problem(415);
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    let plain = [("content-encoding", "identity")];
    server
        .send(Method::POST, "/conflict", &plain, "x")
        .await
        .problem(409);
    server.stop().await;
}

/// Whatever is asked for and however it is answered: nothing that a client invents is a label.
#[tokio::test]
async fn labels_come_from_what_is_registered() {
    let server = Server::plain(
        chassis::http::standard("flooded", 10, Limits::default()).around(router()),
        chassis::http::Options::default(),
    )
    .await;
    let round = async |n: u32| {
        for path in [
            format!("/things/{n}"),
            format!("/nowhere/{n}"),
            "/teapot".to_owned(),
        ] {
            let name = format!("x-{n}");
            let method = Method::from_bytes(format!("BREW{n}").as_bytes()).unwrap();
            for (method, headers, body) in [
                (Method::GET, vec![], ""),
                (Method::PUT, vec![], ""),
                (Method::TRACE, vec![], ""),
                (method, vec![], ""),
                (Method::POST, vec![], "longer than the limit"),
                (Method::GET, vec![("content-encoding", name.as_str())], ""),
                (Method::GET, vec![("host", name.as_str())], ""),
            ] {
                server.send(method, &path, &headers, body).await;
            }
        }
    };
    round(0).await;
    let before = series("flooded");
    assert!(before > 0);
    for n in 1..=50 {
        round(n).await;
    }
    assert_eq!(series("flooded"), before);
    server.stop().await;
}
