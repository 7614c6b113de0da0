//! What any HTTP/2 client can ask a gRPC port: requests that are no calls, and calls of what nobody serves.

use axum::body::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::{Server, server};
use crate::support::series;

/// As any HTTP/2 client could: a request that is no call, or one for what nobody serves.
async fn raw(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> http::Response<hyper::body::Incoming> {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", server.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let empty = Full::new(Bytes::from_static(&[0; 5]));
    client.request(request.body(empty).unwrap()).await.unwrap()
}

const CHECK: &str = "/grpc.health.v1.Health/Check";

#[tokio::test]
async fn what_is_no_call_is_refused_in_plain_http() {
    let server = server("test").await;
    for content_type in ["application/json", "application/grpc-web", "text/plain"] {
        let answer = raw(&server, "POST", CHECK, &[("content-type", content_type)]).await;
        assert_eq!(answer.status(), 415, "{content_type}");
        assert_eq!(answer.headers()["accept"], "application/grpc");
    }
    assert_eq!(raw(&server, "POST", CHECK, &[]).await.status(), 415);
    let answer = raw(
        &server,
        "GET",
        CHECK,
        &[("content-type", "application/grpc")],
    )
    .await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    for good in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;x=y",
    ] {
        let answer = raw(&server, "POST", CHECK, &[("content-type", good)]).await;
        assert_eq!(answer.status(), 200, "{good}");
    }
    server.stop().await;
}

/// 2,000 paths with a bad token made `/metrics` 291 MB.
#[tokio::test]
async fn labels_come_from_what_is_registered() {
    let server = server("flooded-grpc").await;
    let round = async |n: u32| {
        for path in [
            format!("/made.up.S{n}/M"),
            format!("/grpc.health.v1.Health/M{n}"),
            format!("/{n}"),
            CHECK.to_owned(),
        ] {
            let grpc = ("content-type", "application/grpc");
            for (method, headers) in [
                ("POST", vec![grpc]),
                ("POST", vec![grpc, ("authorization", "Bearer rubbish")]),
                ("POST", vec![grpc, ("grpc-timeout", "0n")]),
                ("POST", vec![]),
                ("GET", vec![grpc]),
            ] {
                let answer = raw(&server, method, &path, &headers).await;
                // Counted once its end was read.
                http_body_util::BodyExt::collect(answer.into_body())
                    .await
                    .ok();
            }
        }
    };
    round(0).await;
    round(1).await;
    let before = series("flooded-grpc");
    assert!(before > 0);
    for n in 2..10 {
        round(n).await;
    }
    assert_eq!(series("flooded-grpc"), before);
    assert!(!chassis::metrics::render().contains("made.up.S"));
    server.stop().await;
}
