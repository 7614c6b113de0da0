//! What a service tells of its hops, to whoever reads them.

mod readers;

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use chassis::arrival::Arrivals;
use chassis::limits::Limits;
use chassis::{Shutdown, admin, hops, http, trace};
use futures::StreamExt;
use resilience::circuit_breaker::{CircuitBreaker, Config, Window};
use resilience::classify::Outcome;
use serde_json::Value;
use tokio::sync::Notify;
use tracing::Instrument;

use crate::support::log;
use crate::support::server::Server;

const TRACE: &str = "abf92f3577b34da6a3ce929d0e0e4736";

fn parent(trace: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-01")
}

/// A reader of `/hops`: its events as they come.
pub(crate) struct Reader {
    body: Box<dyn futures::Stream<Item = Vec<u8>> + Send + Unpin>,
    text: String,
}

#[derive(Debug)]
struct Told {
    id: String,
    event: String,
    data: Value,
}

impl Reader {
    pub(crate) async fn open(router: &Router, after: Option<&str>) -> Self {
        use tower::ServiceExt;
        let mut request = axum::http::Request::get("/hops").header("host", "localhost");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let body = answer.into_body().into_data_stream();
        let body = body.map(|chunk| chunk.unwrap().to_vec());
        let mut reader = Self {
            body: Box::new(body),
            text: String::new(),
        };
        // The head has arrived: from here on everything is recorded.
        reader.body.next().await.unwrap();
        reader
    }

    async fn next(&mut self) -> Told {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let line = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned()))
                };
                if let Some(data) = line("data:") {
                    return Told {
                        id: line("id:").unwrap(),
                        event: line("event:").unwrap(),
                        data: serde_json::from_str(&data).unwrap(),
                    };
                }
                continue;
            }
            let more = self.body.next().await.expect("the stream goes on");
            self.text.push_str(&String::from_utf8(more).unwrap());
        }
    }

    /// The next record of this trace.
    async fn of(&mut self, trace: &str) -> Value {
        loop {
            let told = self.next().await;
            if told.data["trace_id"] == trace {
                assert_eq!(told.event, "hop");
                return told.data;
            }
        }
    }
}

pub(crate) fn admin(service: &'static str) -> Router {
    admin::hops(service, Shutdown::manual().token())
}

fn limits() -> Limits {
    Limits {
        timeout: Duration::from_secs(30),
        load: None,
        arrivals: Arrivals::default(),
    }
}

async fn door(service: &'static str, routes: Router) -> Server {
    let router = http::standard(service, 1024, limits()).around(routes);
    Server::plain(router, chassis::http::Options::default()).await
}

#[tokio::test]
async fn a_request_is_told_while_it_hangs_and_when_it_ends() {
    log::init();
    let go_on = std::sync::Arc::new(Notify::new());
    let wait = std::sync::Arc::clone(&go_on);
    let handler = move || async move {
        wait.notified().await;
        StatusCode::CREATED
    };
    let server = door("hanging", Router::new().route("/things", post(handler))).await;
    let mut reader = Reader::open(&admin("hanging"), None).await;
    let traceparent = parent(TRACE);
    let headers = [
        ("traceparent", traceparent.as_str()),
        ("authorization", "Bearer canary-9911"),
        ("content-type", "text/plain"),
    ];
    let asked = server.send(axum::http::Method::POST, "/things", &headers, String::new());
    let told = async {
        let start = reader.of(TRACE).await;
        go_on.notify_one();
        (start, reader.of(TRACE).await)
    };
    let (_, (start, end)) = tokio::join!(asked, told);
    for record in [&start, &end] {
        assert_eq!(record["name"], "POST /things");
        assert_eq!(record["kind"], "http");
        assert_eq!(record["side"], "server");
        assert_eq!(record["service"], "hanging");
        assert_eq!(record["to"], "hanging");
        assert_eq!(record["parent_span_id"], "00f067aa0ba902b7");
        assert_eq!(record["span_id"], start["span_id"]);
        assert_eq!(record["detail"]["content-type"], "text/plain");
        assert!(!record.to_string().contains("canary-9911"), "{record}");
    }
    assert_eq!(
        (&start["phase"], &end["phase"]),
        (&"start".into(), &"end".into())
    );
    assert_eq!(start["outcome"], Value::Null);
    assert_eq!(
        (&end["outcome"], &end["status"]),
        (&"ok".into(), &"201".into())
    );
    assert!(end["duration_us"].as_u64().is_some());
    assert!(end["at"].as_u64() >= start["at"].as_u64());
}

#[tokio::test]
async fn calls_are_told_only_as_part_of_a_request() {
    log::init();
    let handler = || async {
        let span = tracing::info_span!(
            target: hops::TARGET, "call", otel.name = "GET /x", otel.kind = "client",
            peer.service = "peer", http.request.method = "GET", attempt = 2_u64,
            fault.injected = tracing::field::Empty, error.type = tracing::field::Empty,
        );
        span.in_scope(|| {
            tracing::Span::current().record("fault.injected", "hang");
        });
        span.record("error.type", "timeout");
        StatusCode::NO_CONTENT
    };
    let server = door("calling", Router::new().route("/", get(handler))).await;
    let mut reader = Reader::open(&admin("calling"), None).await;
    // One that nobody asked for, by itself.
    handler().await;
    let trace = "bbf92f3577b34da6a3ce929d0e0e4737";
    let traceparent = parent(trace);
    server
        .send(
            axum::http::Method::GET,
            "/",
            &[("traceparent", &traceparent)],
            String::new(),
        )
        .await;
    let server_start = reader.next().await.data;
    assert_eq!(server_start["side"], "server", "{server_start}");
    let start = reader.of(trace).await;
    assert_eq!(start["side"], "client");
    assert_eq!(start["parent_span_id"], server_start["span_id"]);
    assert_eq!(
        (&start["from"], &start["to"]),
        (&"calling".into(), &"peer".into())
    );
    assert_eq!(start["attempt"], 2);
    let end = reader.of(trace).await;
    assert_eq!(
        (&end["fault"], &end["outcome"]),
        (&"hang".into(), &"timeout".into())
    );
}

#[tokio::test]
async fn a_message_is_told_with_its_wait_in_the_outbox() {
    log::init();
    let mut reader = Reader::open(&admin("relaying"), None).await;
    let trace = "cbf92f3577b34da6a3ce929d0e0e4738";
    let mut headers: Vec<_> = [
        ("ce_id", "0190163d-8694-739b-aea5-966c26f8ad91"),
        ("ce_type", "test.happened.v1"),
        ("ce_time", "2026-11-28T12:00:00.000001Z"),
        ("ce_causationid", "0190163d-8694-739b-aea5-966c26f8ad90"),
        ("ce_sequence", "3"),
        ("ce_email", "canary-9912"),
        ("traceparent", &parent(trace)),
        ("ce_traceparent", &parent(trace)),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let service = trace::service_span("relaying");
    let data =
        br#"{"thing_id":"0190163d-8694-739b-aea5-966c26f8ad92","pieces":2,"email":"canary-9912"}"#;
    let publish = service.in_scope(|| trace::publish_span("things", &mut headers, data));
    assert!(!publish.is_disabled(), "somebody reads");
    async {}.instrument(publish).await;
    let consume = service.in_scope(|| trace::consumer_span("things process", &headers));
    consume.record("messaging.system", "postgresql");
    consume.record("attempt", 4_u64);
    async {}.instrument(consume).await;

    let mut records = Vec::new();
    for _ in 0..6 {
        records.push(reader.of(trace).await);
    }
    let shape = |record: &Value| {
        let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
        [
            text("kind"),
            text("phase"),
            text("from"),
            text("to"),
            text("outcome"),
        ]
        .join(" ")
    };
    let shapes: Vec<_> = records.iter().map(shape).collect();
    assert_eq!(
        shapes,
        [
            "outbox start relaying outbox -",
            "kafka start relaying things -",
            "kafka end relaying things ok",
            "outbox end relaying outbox ok",
            "queue start things relaying -",
            "queue end things relaying ok",
        ]
    );
    let [wait, publish, _, waited, consume, _] = &records[..] else {
        unreachable!()
    };
    assert_eq!(wait["at"], 1_795_867_200_000_001_u64);
    assert!(waited["duration_us"].as_u64().is_some());
    assert_eq!(wait["parent_span_id"], "00f067aa0ba902b7");
    assert_eq!(publish["parent_span_id"], wait["span_id"]);
    assert_eq!(consume["parent_span_id"], publish["span_id"]);
    // What travelled stands with the message, once.
    let travelled = &publish["detail"];
    assert_eq!(
        travelled["data.thing_id"],
        "0190163d-8694-739b-aea5-966c26f8ad92"
    );
    assert_eq!(travelled["data.pieces"], "2");
    assert_eq!(travelled["data.email"], "(text, not shown)");
    assert_eq!(travelled["ce_type"], "test.happened.v1");
    assert_eq!(wait["detail"]["data.pieces"], Value::Null);
    assert_eq!(consume["attempt"], 4);
    assert_eq!(consume["sequence"], 3);
    assert_eq!(
        consume["causation_id"],
        "0190163d-8694-739b-aea5-966c26f8ad90"
    );
    assert!(
        records
            .iter()
            .all(|record| !record.to_string().contains("canary"))
    );
}

#[tokio::test]
async fn a_breaker_is_told_in_each_of_its_states() {
    log::init();
    let mut reader = Reader::open(&admin("breaking"), None).await;
    let config = Config {
        window: Window::Calls(4),
        minimum_calls: 4,
        open: Duration::from_millis(20),
        open_jitter_percent: 0,
        probes: 1,
        successes: 1,
        ..Config::default()
    };
    // The field counts, whatever the text says.
    tracing::info!(
        target: "resilience::circuit_breaker", breaker = "breaking to peer", state = "half_open",
        "circuit breaker opened, in other words",
    );
    let breaker = CircuitBreaker::new("breaking to peer", config).unwrap();
    for _ in 0..4 {
        breaker.acquire().unwrap().record(Outcome::Failure);
    }
    let probe = loop {
        match breaker.acquire() {
            Ok(probe) => break probe,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    probe.record(Outcome::Success);
    breaker.force_open();
    breaker.acquire().unwrap_err();
    breaker.force_closed();
    for state in ["half_open", "open", "half_open", "closed", "open", "closed"] {
        let told = reader.next().await;
        assert_eq!(told.event, "breaker", "{told:?}");
        assert_eq!(told.data["state"], state, "{told:?}");
        assert_eq!(told.data["to"], "peer", "{told:?}");
    }
}
