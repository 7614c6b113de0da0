//! Who calls, by the word of a service's own sidecar and of nobody else.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, Method};
use axum::routing::post;
use chassis::http::Options;
use chassis::limits::Limits;
use chassis::{ServiceInfo, grpc, http};
use serde_json::Value;

use crate::support::server::Server;
use crate::support::{log, methods};

const HEADER: &str = "x-forwarded-client-cert";
const SAID: &str = "By=spiffe://agora/orders;Hash=0f;URI=spiffe://agora/gateway";
const GATEWAY: &str = "spiffe://agora/gateway";
/// A message of gRPC without content: not compressed, and no bytes.
const EMPTY_MESSAGE: &str = "\0\0\0\0\0";

fn service(has_sidecar: bool) -> ServiceInfo {
    ServiceInfo {
        has_sidecar,
        ..ServiceInfo::from("test")
    }
}

/// Logs a line, and answers whether the header is still there.
async fn seen(Path(case): Path<String>, headers: HeaderMap) -> String {
    tracing::info!(case, "somebody calls");
    headers.contains_key(HEADER).to_string()
}

fn routes() -> Router {
    Router::new().route("/test.Test/{case}", post(seen))
}

fn http_door(has_sidecar: bool) -> http::Standard {
    http::standard(service(has_sidecar), 1000, Limits::default())
}

fn grpc_door(has_sidecar: bool) -> Router {
    routes().layer(grpc::standard(
        service(has_sidecar),
        methods(),
        Limits::default(),
    ))
}

/// The caller in the line of a request, in which the handler has not seen the header.
async fn told(door: Router, case: &str) -> Value {
    let server = Server::plain(door, Options::default()).await;
    let headers = [("content-type", "application/grpc"), (HEADER, SAID)];
    let path = format!("/test.Test/{case}");
    let answer = server
        .send(Method::POST, &path, &headers, EMPTY_MESSAGE)
        .await;
    assert_eq!(answer.text(), "false", "{case}: the header is still there");
    server.stop().await;
    let lines = log::lines_with(&format!("\"{case}\""));
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0]["caller"].clone()
}

#[tokio::test]
async fn a_sidecar_is_believed() {
    let door = http_door(true).around(routes());
    assert_eq!(told(door, "caller-http-beside").await, GATEWAY);
    assert_eq!(told(grpc_door(true), "caller-grpc-beside").await, GATEWAY);
}

#[tokio::test]
async fn without_a_sidecar_nobody_is() {
    let door = http_door(false).around(routes());
    assert_eq!(told(door, "caller-http-alone").await, Value::Null);
    let told = told(grpc_door(false), "caller-grpc-alone").await;
    assert_eq!(told, Value::Null);
}

/// Customers reach it without a sidecar, whatever stands beside the service.
#[tokio::test]
async fn nobody_is_at_the_public_door() {
    let door = http_door(true).outer().around(routes());
    assert_eq!(told(door, "caller-http-public").await, Value::Null);
}
