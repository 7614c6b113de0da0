//! Doors that refuse what they could not do in time. Without sockets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use chassis::auth::{self, Verifier};
use chassis::limits::Limits;
use chassis::{grpc, http};
use futures::FutureExt;
use http_body_util::BodyExt;
use resilience::load_shed::{Config, LoadShed};
use tokio::sync::Notify;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::ServiceExt;

use crate::support::issuer::{Key, REALM, Source};
use crate::support::methods;

fn limits(max_in_flight: usize, max_waiting: usize) -> (Limits, LoadShed) {
    // What is counted before somebody keeps the numbers is lost.
    chassis::metrics::install();
    let load = LoadShed::new(Config {
        max_in_flight,
        max_waiting,
        retry_after: Duration::from_millis(1500),
        ..Config::default()
    })
    .unwrap();
    let limits = Limits {
        load: Some(load.clone()),
        ..Limits::default()
    };
    (limits, load)
}

/// `/held` answers when it is told to.
fn http_door(service: &'static str, limits: Limits) -> (Router, Arc<Notify>) {
    let open = Arc::new(Notify::new());
    let held = Arc::clone(&open);
    let stream = || async { Body::from_stream(futures::stream::pending::<Result<&str, Status>>()) };
    let router = Router::new()
        .route(
            "/held",
            get(move || {
                let held = Arc::clone(&held);
                async move { held.notified().await }
            }),
        )
        .route("/", get(|| async { "here" }))
        .route("/stream", get(stream));
    (http::standard(service, 1000, limits).around(router), open)
}

fn ask(door: &Router, path: &str) -> impl Future<Output = Response<Body>> + use<> {
    let request = Request::get(path).header("host", "x");
    let request = request.body(Body::empty()).unwrap();
    door.clone().oneshot(request).map(Result::unwrap)
}

/// Polls it once.
fn begin<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!((&mut future).now_or_never().is_none());
    future
}

#[tokio::test(start_paused = true)]
async fn http_requests_beyond_the_limit_are_refused_with_503() {
    let (limits, load) = limits(2, 0);
    let (door, open) = http_door("shed-http", limits);
    let held = [begin(ask(&door, "/held")), begin(ask(&door, "/held"))];
    let refused = ask(&door, "/").await;
    assert_eq!(refused.status(), 503);
    // Whole seconds, rounded up.
    assert_eq!(refused.headers()["retry-after"], "2");
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "/problems/overloaded");
    assert_eq!(problem["instance"], "/");
    let line = r#"resilience_shed_total{service="shed-http"} 1"#;
    assert!(chassis::metrics::render().contains(line));

    open.notify_waiters();
    for held in held {
        assert_eq!(held.await.status(), 200);
    }
    assert_eq!(ask(&door, "/").await.status(), 200);
    assert_eq!(load.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_place_for_a_moment() {
    let (limits, load) = limits(1, 5);
    let (door, open) = http_door("shed-waits", limits);
    let held = begin(ask(&door, "/held"));
    let next = begin(ask(&door, "/"));
    assert_eq!(load.snapshot().waiting, 1);
    let line =
        |waiting: u32| format!(r#"resilience_shed_waiting{{service="shed-waits"}} {waiting}"#);
    assert!(chassis::metrics::render().contains(&line(1)));
    open.notify_waiters();
    assert_eq!(held.await.status(), 200);
    assert_eq!(next.await.status(), 200);
    // And not for ever.
    let _held = begin(ask(&door, "/held"));
    assert_eq!(ask(&door, "/").await.status(), 503);
    assert!(chassis::metrics::render().contains(&line(0)));
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_give_their_places_back() {
    let (limits, load) = limits(1, 1);
    let (door, _open) = http_door("shed-left", limits);
    for _ in 0..3 {
        let held = begin(ask(&door, "/held"));
        let waiting = begin(ask(&door, "/"));
        drop(waiting);
        drop(held);
    }
    let snapshot = load.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0));
    assert_eq!(ask(&door, "/").await.status(), 200);
    let line = r#"resilience_shed_waiting{service="shed-left"} 0"#;
    assert!(chassis::metrics::render().contains(line));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_begun_takes_no_place() {
    let (limits, load) = limits(1, 0);
    let (door, _open) = http_door("shed-stream", limits);
    let _stream = ask(&door, "/stream").await;
    assert_eq!(load.snapshot().in_flight, 0);
    assert_eq!(ask(&door, "/").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn who_waits_outside_holds_no_place_and_takes_one_again() {
    let (limits, load) = limits(1, 0);
    let open = Arc::new(Notify::new());
    let opened = Arc::clone(&open);
    let outside = move || {
        let opened = Arc::clone(&opened);
        async move {
            match chassis::limits::outside(opened.notified()).await {
                Ok(()) => StatusCode::OK,
                Err(_) => StatusCode::IM_A_TEAPOT,
            }
        }
    };
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/held", get(std::future::pending::<()>))
        .route("/outside", get(outside));
    let door = http::standard("shed-outside", 1000, limits).around(router);
    let wait = || begin(ask(&door, "/outside"));

    let waiting = [wait(), wait(), wait()];
    assert_eq!(load.snapshot().in_flight, 0);
    assert_eq!(ask(&door, "/").await.status(), 200);
    open.notify_waiters();
    for waits in waiting {
        assert_eq!(waits.await.status(), 200);
    }

    let waits = wait();
    let _held = begin(ask(&door, "/held"));
    open.notify_waiters();
    assert_eq!(waits.await.status(), 418, "no place was free");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_keys_holds_no_place() {
    let (limits, load) = limits(1, 0);
    let key = Key::new("a", 1);
    let source = Source::with(&[&key]);
    source.slow.store(true, Ordering::SeqCst);
    let routes = Router::new()
        .route("/", get(|| async { "here" }))
        .layer(auth::layer(Verifier::new(REALM, source)));
    let door = http::standard("shed-keys", 1000, limits).around(routes);
    let request = Request::get("/")
        .header("host", "x")
        .header("authorization", format!("Bearer {}", key.token()))
        .body(Body::empty())
        .unwrap();
    let waits = begin(door.clone().oneshot(request));
    assert_eq!(load.snapshot().in_flight, 0);
    assert_eq!(ask(&door, "/").await.status(), 200);
    assert_eq!(waits.await.unwrap().status(), 200);
}

async fn call(door: &Router, path: &str) -> Result<(), Status> {
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.body(Body::empty()).unwrap();
    let response = door.clone().oneshot(request).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_calls_beyond_the_limit_are_refused_and_health_checks_never() {
    let (limits, load) = limits(1, 0);
    let router = Router::new()
        .route("/shop.v1.Shop/Sell", post(std::future::pending::<()>))
        .route("/grpc.health.v1.Health/Check", post(|| async {}))
        .layer(grpc::standard("shed-grpc", methods(), limits.clone()));
    let held = begin(call(&router, "/shop.v1.Shop/Sell"));
    let refused = call(&router, "/shop.v1.Shop/Sell").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        refused.get_details_retry_info().unwrap().retry_delay,
        Some(Duration::from_millis(1500))
    );
    let line = r#"resilience_shed_total{service="shed-grpc"} 1"#;
    assert!(chassis::metrics::render().contains(line));
    call(&router, "/grpc.health.v1.Health/Check").await.unwrap();

    // The doors of one service count together.
    let (door, _open) = http_door("shed-grpc", limits);
    assert_eq!(ask(&door, "/").await.status(), 503);
    drop(held);
    assert_eq!(ask(&door, "/").await.status(), 200);
    assert_eq!(load.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_admin_port_is_never_refused() {
    let controls = chassis::admin::controls(
        "shed-admin",
        chassis::admin::Clients::new(),
        chassis::admin::DeadLetters::default(),
        None,
    );
    // Many more than any door lets in, whose bodies never come.
    let unfinished = || {
        let body = Body::from_stream(futures::stream::pending::<Result<&str, Status>>());
        let request = Request::post("/clients/orders/breaker")
            .header("host", "x")
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        controls.clone().oneshot(request)
    };
    let _held: Vec<_> = (0..2000).map(|_| begin(unfinished())).collect();
    assert_eq!(ask(&controls, "/clients").await.status(), 200);
}
