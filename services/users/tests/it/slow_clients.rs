//! Callers that do not send their message hold nothing that others need.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{Request, Response};
use chassis::arrival::IDLE;
use contracts::users::v1::AuthenticateRequest;
use contracts::users::v1::user_service_client::UserServiceClient;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::client::GrpcService as _;
use tonic::transport::Channel;

use crate::app::{ADMIN, App, PASSWORD, Setup};

/// Connections, and calls on each of them: fewer than a connection may have under way, with one to spare.
const CONNECTIONS: usize = 4;
const CALLS: u32 = 200;

/// What comes of a call.
type Outcome = Result<Response<tonic::body::Body>, tonic::transport::Error>;

/// A message that never comes. It gives a permit once its call is being sent.
fn never(begun: &Arc<Semaphore>) -> tonic::body::Body {
    let begun = Arc::clone(begun);
    let nothing = futures::stream::once(async move {
        begun.add_permits(1);
        std::future::pending::<std::io::Result<&'static str>>().await
    });
    tonic::body::Body::new(axum::body::Body::from_stream(nothing))
}

/// Calls of this method without their messages, all of which have arrived, and the connections that they are on.
async fn empty_calls(app: &App, path: &str) -> (JoinSet<Outcome>, Vec<Channel>) {
    let (mut waiting, mut connections) = (JoinSet::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let endpoint = Channel::from_shared(app.grpc_url.clone()).unwrap();
        let mut attacker = endpoint.connect().await.unwrap();
        let begun = Arc::new(Semaphore::new(0));
        for _ in 0..CALLS {
            std::future::poll_fn(|cx| attacker.poll_ready(cx))
                .await
                .unwrap();
            let request = Request::post(path)
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(never(&begun))
                .unwrap();
            waiting.spawn(attacker.call(request));
        }
        begun.acquire_many(CALLS).await.unwrap().forget();
        // It comes behind them on their connection, so they have arrived when it is answered.
        let credentials = AuthenticateRequest {
            email: ADMIN.to_owned(),
            password: PASSWORD.to_owned(),
            expires_in: 0,
        };
        let mut whole = UserServiceClient::new(attacker.clone());
        whole.authenticate(credentials).await.unwrap();
        connections.push(attacker);
    }
    (waiting, connections)
}

async fn app_with_few_places() -> App {
    Setup::new().with(["--max-in-flight=8"]).start().await
}

#[tokio::test]
async fn empty_calls_hold_no_place() {
    let app = app_with_few_places().await;
    let path = "/agora.users.v1.UserService/Authenticate";
    let begun = Instant::now();
    let (mut waiting, _connections) = empty_calls(&app, path).await;
    for _ in 0..10 {
        app.authenticate(ADMIN, PASSWORD).await.unwrap();
    }
    // On a busy machine that may have taken longer than anybody is waited for.
    let is_refused = waiting.try_join_next().is_some();
    assert!(
        !is_refused || begun.elapsed() > IDLE,
        "they wait by themselves"
    );
}

/// Their clients send while they are answered, so these begin without a message.
#[tokio::test]
async fn reflection_that_is_asked_nothing_holds_no_place() {
    let app = app_with_few_places().await;
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let (mut begun, _connections) = empty_calls(&app, path).await;
    let mut answers = Vec::new();
    while let Some(answer) = begun.join_next().await {
        answers.push(answer.unwrap().unwrap());
    }
    let refused = answers
        .iter()
        .find(|answer| answer.headers().contains_key("grpc-status"));
    assert!(refused.is_none(), "{refused:?}");
    for _ in 0..10 {
        app.authenticate(ADMIN, PASSWORD).await.unwrap();
    }
}
