//! A whole service as a process: signals, taken ports, variables left empty.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::post;
use chassis::http::Options;
use tokio::sync::Mutex;

use crate::support::eventually;
use crate::support::hello::{self, Hello};
use crate::support::raw::Raw;
use crate::support::server::Server;

pub(crate) async fn ready(hello: &Hello) {
    eventually("it is ready", || async {
        let mut admin = Raw::connect(hello.admin).await;
        admin
            .send("GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
        admin.rest().await.starts_with("HTTP/1.1 200")
    })
    .await;
}

/// Waits for the end of the process. Looks again every few milliseconds: a `std` child announces nothing.
async fn ended(hello: &mut Hello) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = hello.child.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn sigterm_answers_what_is_in_flight_and_ends_in_time() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut hello = Hello::started_by(
            hello::command_that_hears_hangups(),
            &[("LOG_FORMAT", "json"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        );
        ready(&hello).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = Raw::connect(hello.http).await;
            client
                .send("GET /slow/600 HTTP/1.1\r\nhost: x\r\n\r\n")
                .await;
            clients.push(client);
        }
        // Answers to these say that the others' bytes were read long ago.
        for _ in 0..20 {
            let mut client = Raw::connect(hello.http).await;
            client
                .send("GET /hello/you HTTP/1.1\r\nhost: x\r\n\r\n")
                .await;
            assert!(client.response().await.ends_with("hello, you\n"));
        }
        hello.signal(signal);
        let begun = Instant::now();
        for client in &mut clients {
            assert!(client.rest().await.ends_with("done\n"));
        }
        assert_eq!(ended(&mut hello).await.code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(10));
        let mut log = String::new();
        hello
            .child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        let lines: Vec<serde_json::Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(
            lines
                .iter()
                .any(|line| line["signal"] == format!("SIG{signal}") && line["service"] == "hello"),
            "{log}"
        );
        assert_eq!(
            lines
                .iter()
                .filter(|line| line["trace_id"].as_str().is_some_and(|id| id.len() == 32))
                .count(),
            20
        );
    }
}

/// Waits until the server counts one request that has begun. To ask something of the same port instead could take the place of
/// the one that is waited for.
async fn until_one_is_in_flight(hello: &Hello) {
    eventually("a request has begun", || async {
        let mut admin = Raw::connect(hello.admin).await;
        admin
            .send("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await;
        let metrics = admin.rest().await;
        metrics.contains(r#"http_requests_in_flight{service="hello"} 1"#)
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut hello = Hello::start(&[("SHUTDOWN_DEADLINE", "60s")]);
    ready(&hello).await;
    let mut client = Raw::connect(hello.http).await;
    client
        .send("GET /slow/60000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    // Without it there would be nothing to wait for, and the first signal would be enough.
    until_one_is_in_flight(&hello).await;
    hello.signal("TERM");
    let http = hello.http;
    eventually("the port is closed", || async move {
        tokio::net::TcpStream::connect(http).await.is_err()
    })
    .await;
    hello.signal("INT");
    assert_eq!(ended(&mut hello).await.code(), Some(130));
}

#[tokio::test]
async fn a_taken_port_is_one_line_and_exit_1() {
    let first = Hello::start(&[]);
    let port = first.http.port().to_string();
    let output = hello::run(&["--http-port", &port, "--admin-port", "0"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(&format!("port {port} is in use")) && text.contains("--http-port"),
        "{text}"
    );
}

#[tokio::test]
async fn a_bad_log_filter_is_one_line() {
    let output = hello::run(
        &["--http-port", "0", "--admin-port", "0"],
        &[("RUST_LOG", "info,x=loud")],
    );
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.lines().count() == 1 && text.contains("RUST_LOG cannot be \"info,x=loud\""),
        "{text}"
    );
}

#[tokio::test]
async fn a_quiet_log_still_knows_its_trace() {
    let mut hello = Hello::start(&[("RUST_LOG", "error"), ("LOG_FORMAT", "json")]);
    let mut client = Raw::connect(hello.http).await;
    client
        .send("GET /broken HTTP/1.1\r\nhost: x\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n")
        .await;
    let answer = client.response().await;
    assert!(
        answer.contains(r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736""#),
        "{answer}"
    );
    drop(client);
    hello.signal("TERM");
    assert!(ended(&mut hello).await.success());
    let mut log = String::new();
    hello
        .child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    let line: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert_eq!(line["error"], "the disk is full");
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn spans_are_exported_and_the_last_ones_at_the_end() {
    // A collector by hand: it keeps the bytes, in which names and ids are to be found as they are.
    let received = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&received);
    let export = move |body: Bytes| async move {
        keep.lock().await.extend_from_slice(&body);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(&[0; 5]))),
            Ok(http_body::Frame::trailers(trailers)),
        ];
        let body = axum::body::Body::new(http_body_util::StreamBody::new(futures::stream::iter(
            frames,
        )));
        ([("content-type", "application/grpc")], body).into_response()
    };
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let collector =
        Server::plain(Router::new().route(path, post(export)), Options::default()).await;
    let endpoint = format!("http://{}", collector.address);
    let mut hello = Hello::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("MAX_IN_FLIGHT", "1"),
        // What a developer's shell may have for other programs changes nothing.
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-of-another=secret-5521"),
        ("OTEL_RESOURCE_ATTRIBUTES", "of=another-5521"),
        ("OTEL_SERVICE_NAME", "another-5521"),
    ]);
    let mut client = Raw::connect(hello.http).await;
    client.send("GET /hello/you HTTP/1.1\r\nhost: x\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n").await;
    client.response().await;
    client
        .send("GET /slow/60000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    until_one_is_in_flight(&hello).await;
    // It has the one place there is.
    eventually("another one is refused", || async {
        let mut other = Raw::connect(hello.http).await;
        other
            .send("GET /hello/you HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        other.response().await.starts_with("http/1.1 503")
    })
    .await;
    drop(client);
    // The batch goes out every 5 s; the end does not wait for that, nor does it lose it.
    hello.signal("TERM");
    assert!(ended(&mut hello).await.success());
    let bytes = received.lock().await.clone();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(
        has(b"GET /hello/{name}"),
        "the route as the name of the span"
    );
    let id = u128::from_str_radix("4bf92f3577b34da6a3ce929d0e0e4736", 16)
        .unwrap()
        .to_be_bytes();
    assert!(has(&id), "the caller's trace");
    assert!(has(b"hello") && !has(b"another-5521"), "service.name");
    assert!(
        has(b"too much to do: a call is refused"),
        "what the layers did, as events of the span"
    );
    collector.stop().await;
}

#[tokio::test]
async fn a_collector_that_is_away_delays_the_end_by_little() {
    let mut hello = Hello::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    let mut client = Raw::connect(hello.http).await;
    client
        .send("GET /hello/you HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    client.response().await;
    drop(client);
    let begun = Instant::now();
    hello.signal("TERM");
    assert!(ended(&mut hello).await.success());
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}
