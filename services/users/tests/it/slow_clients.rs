//! Callers that do not send their message hold nothing that others need.

use axum::http::Request;
use tonic::client::GrpcService as _;

use crate::app::{ADMIN, PASSWORD, Setup};

/// A message that never comes.
fn never() -> tonic::body::Body {
    let nothing = futures::stream::pending::<std::io::Result<&'static str>>();
    tonic::body::Body::new(axum::body::Body::from_stream(nothing))
}

#[tokio::test]
async fn empty_calls_hold_no_place() {
    let app = Setup::new().with(["--max-in-flight=8"]).start().await;
    let mut attacker = tonic::transport::Channel::from_shared(app.grpc_url.clone())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..800 {
        std::future::poll_fn(|cx| attacker.poll_ready(cx))
            .await
            .unwrap();
        let request = Request::post("/agora.users.v1.UserService/Authenticate")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(never())
            .unwrap();
        waiting.spawn(attacker.call(request));
    }
    for _ in 0..10 {
        app.authenticate(ADMIN, PASSWORD).await.unwrap();
    }
    assert!(waiting.try_join_next().is_none(), "they wait by themselves");
}
