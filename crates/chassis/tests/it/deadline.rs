//! Deadlines that arrive: the handler knows what is left, is dropped when it is over, and the caller is
//! told. Without sockets, so that the clock can be paused.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use chassis::limits::{self, Limits};
use chassis::{grpc, http};
use futures::Stream;
use http_body_util::BodyExt;
use resilience::deadline::Deadline;
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt;

use crate::support::methods;

const LIMIT: Duration = Duration::from_secs(15);

fn limits() -> Limits {
    Limits {
        timeout: LIMIT,
        ..Limits::default()
    }
}

/// What the handlers of both doors saw.
#[derive(Clone, Default)]
struct Seen {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

/// Notes that a handler was dropped.
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Seen {
    async fn for_ever(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _dropped = OnDrop(Arc::clone(&self.dropped));
        std::future::pending().await
    }
}

fn left() -> String {
    let left = Deadline::current().expect("a deadline").remaining();
    left.as_millis().to_string()
}

fn http_door(seen: &Seen) -> Router {
    let seen = seen.clone();
    let stream = || async {
        // Begins after 1 s, ends long after any deadline.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Body::from_stream(futures::stream::once(async {
            tokio::time::sleep(LIMIT * 2).await;
            Ok::<_, std::io::Error>("whole")
        }))
    };
    let router = Router::new()
        .route("/left", get(|| async { left() }))
        .route("/stream", get(stream))
        .route(
            "/never",
            get(move || {
                let seen = seen.clone();
                async move { seen.for_ever().await }
            }),
        );
    http::standard("test", 1000, limits()).around(router)
}

async fn ask(door: Router, path: &str, timeout: Option<&str>) -> Response<Body> {
    let mut request = Request::get(path).header("host", "x");
    if let Some(timeout) = timeout {
        request = request.header("x-request-timeout-ms", timeout);
    }
    let request = request.body(Body::empty()).unwrap();
    door.oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a caller asks for, and what its handler has, in milliseconds.
const ASKED: [(Option<&str>, &str); 7] = [
    (None, "15000"),
    (Some("800"), "800"),
    (Some("14999"), "14999"),
    // Nobody gets more than the door gives.
    (Some("99999999"), "15000"),
    // What cannot be read counts as absent.
    (Some("-1"), "15000"),
    (Some("999999999999"), "15000"),
    (Some("soon"), "15000"),
];

#[tokio::test(start_paused = true)]
async fn an_http_handler_sees_what_is_left() {
    for (asked, left) in ASKED {
        let response = ask(http_door(&Seen::default()), "/left", asked).await;
        assert_eq!(text(response).await, left, "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_handler_is_dropped_and_a_problem_answered() {
    for (asked, after) in [
        (Some("800"), 800),
        (Some("99999999"), 15_000),
        (None, 15_000),
    ] {
        let (seen, begun) = (Seen::default(), Instant::now());
        let response = ask(http_door(&seen), "/never", asked).await;
        assert_eq!(begun.elapsed().as_millis(), after, "{asked:?}");
        assert!(seen.dropped.load(Ordering::SeqCst));
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let problem: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(problem["type"], "/problems/deadline-exceeded");
        assert_eq!(problem["status"], 504);
        assert_eq!(problem["instance"], "/never");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_over_already_is_not_begun() {
    let seen = Seen::default();
    let response = ask(http_door(&seen), "/never", Some("0")).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(seen.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_http_body_that_has_begun_goes_on() {
    let response = ask(http_door(&Seen::default()), "/stream", Some("2000")).await;
    assert_eq!(text(response).await, "whole");
}

/// The health service as a stand-in for any: the name asked for says what to do.
#[derive(Clone, Default)]
struct Fake(Seen);

#[tonic::async_trait]
impl Health for Fake {
    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        if request.get_ref().service == "left" {
            return Err(Status::not_found(left()));
        }
        self.0.for_ever().await;
        Err(Status::internal("never"))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let late = async {
            tokio::time::sleep(LIMIT * 2).await;
            Err(Status::data_loss("at its own end"))
        };
        Ok(tonic::Response::new(Box::pin(futures::stream::once(late))))
    }
}

async fn call(seen: &Seen, method: &str, name: &str, timeout: Option<&str>) -> Status {
    let router = Routes::new(HealthServer::new(Fake(seen.clone())))
        .into_axum_router()
        .layer(grpc::standard("test", methods(), limits()));
    // Field 1 of the message, a string, behind the five bytes that frame it.
    let field = [&[0x0a, name.len() as u8], name.as_bytes()].concat();
    let message = [&[0, 0, 0, 0, field.len() as u8], field.as_slice()].concat();
    let mut request = Request::post(format!("/grpc.health.v1.Health/{method}"))
        .header("content-type", "application/grpc");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let request = request.body(Body::from(message)).unwrap();
    let response = router.oneshot(request).await.unwrap();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    let trailers = response.into_body().collect().await.unwrap();
    Status::from_header_map(trailers.trailers().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_grpc_handler_sees_what_is_left() {
    for (asked, left) in [
        (None, "15000"),
        (Some("800m"), "800"),
        (Some("2S"), "2000"),
        (Some("99999999H"), "15000"),
        (Some("2s"), "15000"),
        (Some("123456789S"), "15000"),
    ] {
        let status = call(&Seen::default(), "Check", "left", asked).await;
        assert_eq!(
            (status.code(), status.message()),
            (Code::NotFound, left),
            "{asked:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_handler_is_dropped_and_the_caller_told() {
    for (asked, after) in [(Some("800m"), 800), (Some("1H"), 15_000), (None, 15_000)] {
        let (seen, begun) = (Seen::default(), Instant::now());
        let status = call(&seen, "Check", "never", asked).await;
        assert_eq!(begun.elapsed().as_millis(), after, "{asked:?}");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(seen.dropped.load(Ordering::SeqCst));
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_that_has_begun_goes_on() {
    let status = call(&Seen::default(), "Watch", "", Some("1S")).await;
    assert_eq!(status.code(), Code::DataLoss);
}

#[test]
fn doors_have_a_limit_by_default() {
    assert_eq!(Limits::default().timeout, limits::TIMEOUT);
}
