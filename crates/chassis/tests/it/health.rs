//! The admin port.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use chassis::health::Health;
use chassis::http::Options;
use chassis::{Shutdown, admin, http, listen};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::raw::Raw;
use crate::support::{PATIENCE, eventually, log};

struct Admin {
    address: SocketAddr,
    health: Health,
    shutdown: Shutdown,
    served: JoinHandle<Result<(), chassis::Fatal>>,
}

async fn admin() -> Admin {
    log::init();
    let listener = listen::bind("127.0.0.1", 0, "--admin-port", "ADMIN_PORT")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (health, shutdown) = (Health::new("test"), Shutdown::manual());
    let extra = Router::new().route("/extra", get(|| async { "more" }));
    let served = tokio::spawn(admin::serve(
        listener,
        admin::Access::default(),
        health.clone(),
        extra,
        shutdown.clone(),
    ));
    Admin {
        address,
        health,
        shutdown,
        served,
    }
}

impl Admin {
    async fn get(&self, path: &str) -> (u16, String) {
        let mut client = Raw::connect(self.address).await;
        client
            .send(format!(
                "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            ))
            .await;
        let answer = client.rest().await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    async fn readyz(&self) -> (u16, Value) {
        let (status, body) = self.get("/readyz").await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

#[tokio::test]
async fn what_is_degraded_is_told_and_ready_all_the_same() {
    let admin = admin().await;
    let lookups = admin.health.dependency("dns of orders");
    admin.health.ready();
    lookups.degraded("no answer; 2 addresses are kept");
    let (status, body) = admin.readyz().await;
    assert_eq!((status, body["status"].as_str()), (200, Some("ready")));
    let lookups = &body["dependencies"][0];
    assert_eq!(lookups["state"], "degraded");
    assert_eq!(lookups["detail"], "no answer; 2 addresses are kept");
}

#[tokio::test]
async fn what_is_optional_keeps_nobody_from_being_ready_and_is_logged_once() {
    let admin = admin().await;
    let broker = admin.health.optional("broker-2207");
    admin.health.ready();
    assert_eq!(admin.readyz().await.0, 200);
    for reason in ["refused", "refused", "no answer"] {
        broker.down(reason);
    }
    let (status, body) = admin.readyz().await;
    assert_eq!((status, body["status"].as_str()), (200, Some("ready")));
    assert_eq!(body["dependencies"][0]["state"], "degraded");
    assert_eq!(body["dependencies"][0]["detail"], "no answer");
    broker.up();
    let lines = log::lines_with("broker-2207");
    let levels: Vec<_> = lines.iter().map(|line| &line["level"]).collect();
    assert_eq!(levels, ["WARN", "INFO"], "{lines:?}");
}

#[tokio::test]
async fn who_cannot_publish_is_degraded_and_an_outage_of_both_directions_is_one_line() {
    let admin = admin().await;
    let (reading, publishing) = admin.health.dependency("broker-4711").directions();
    admin.health.ready();
    let state = async || {
        let (status, body) = admin.readyz().await;
        let state = body["dependencies"][0]["state"]
            .as_str()
            .unwrap()
            .to_owned();
        (status, state)
    };
    let is = |status: u16, state: &str| (status, state.to_owned());
    publishing(Ok(()));
    assert_eq!(state().await, is(503, "starting"), "nothing was read yet");
    reading(Ok(()));
    assert_eq!(state().await, is(200, "up"));

    publishing(Err("not authorized".to_owned()));
    assert_eq!(state().await, is(200, "degraded"));
    let (_, body) = admin.readyz().await;
    assert_eq!(
        body["dependencies"][0]["detail"],
        "publishing: not authorized"
    );
    reading(Err("refused".to_owned()));
    assert_eq!(state().await, is(503, "down"));
    reading(Ok(()));
    publishing(Ok(()));
    assert_eq!(state().await, is(200, "up"));

    let lines = log::lines_with("broker-4711");
    let levels: Vec<_> = lines.iter().map(|line| &line["level"]).collect();
    assert_eq!(levels, ["WARN", "INFO"], "{lines:?}");
}

#[tokio::test]
async fn readyz_tells_what_is_missing_and_since_when() {
    let admin = admin().await;
    let (database, kafka) = (
        admin.health.dependency("database"),
        admin.health.dependency("kafka"),
    );
    let (status, body) = admin.readyz().await;
    assert_eq!((status, body["status"].as_str()), (503, Some("starting")));
    assert_eq!(body["dependencies"][0]["name"], "database");
    assert_eq!(body["dependencies"][0]["state"], "starting");

    database.up();
    kafka.up();
    assert_eq!(
        admin.readyz().await.1["status"],
        "starting",
        "the start itself is not over"
    );
    admin.health.ready();
    let (status, up) = admin.readyz().await;
    assert_eq!((status, up["status"].as_str()), (200, Some("ready")));

    let since = |body: &Value| {
        let text = body["dependencies"][0]["since"]
            .as_str()
            .unwrap()
            .to_owned();
        chrono::DateTime::parse_from_rfc3339(&text).unwrap();
        assert!(text.ends_with('Z'), "{text}");
        text
    };
    database.down("refused-3344");
    let (status, down) = admin.readyz().await;
    assert_eq!(
        (status, down["status"].as_str()),
        (503, Some("unavailable"))
    );
    assert_eq!(down["dependencies"][0]["detail"], "refused-3344");
    assert_eq!(down["dependencies"][1]["state"], "up");
    assert!(since(&down) >= since(&up));
    // Reported again and again: `since` stays, the newest reason shows, the log has one warning.
    for _ in 0..5 {
        database.down("still refused-3344");
    }
    let (_, again) = admin.readyz().await;
    assert_eq!(since(&again), since(&down));
    assert_eq!(again["dependencies"][0]["detail"], "still refused-3344");
    let lines = log::lines_with("refused-3344");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "WARN");
    // A dependency that is down is no reason to restart this service.
    assert_eq!(admin.get("/livez").await, (200, "ok\n".to_owned()));

    database.up();
    let (status, healed) = admin.readyz().await;
    assert_eq!(status, 200);
    assert!(healed["dependencies"][0].get("detail").is_none());
    (kafka.reporter())(Err("no brokers".to_owned()));
    assert_eq!(admin.readyz().await.0, 503);
}

#[tokio::test]
async fn metrics_and_extra_routes() {
    let (one, two) = (admin().await, admin().await);
    ::metrics::counter!("admin_test_total").increment(3);
    // Two services in one process share the recorder.
    for admin in [&one, &two] {
        let (status, body) = admin.get("/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("admin_test_total 3"), "{body}");
        assert_eq!(admin.get("/extra").await, (200, "more".to_owned()));
        assert_eq!(admin.get("/other").await.0, 404);
    }
}

#[tokio::test]
async fn it_answers_503_while_the_doors_drain_and_ends_after_them() {
    let admin = admin().await;
    admin.health.ready();
    assert_eq!(admin.readyz().await.0, 200);
    let (enters, mut entered) = tokio::sync::mpsc::unbounded_channel();
    let held = move || {
        enters.send(()).unwrap();
        std::future::pending::<()>()
    };
    let slow = Router::new().route("/", get(held));
    let listener = listen::bind("127.0.0.1", 0, "--http-port", "HTTP_PORT")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = admin.shutdown.clone();
    let door = tokio::spawn(http::serve(
        listener,
        slow,
        Options::with_deadline(PATIENCE),
        shutdown,
    ));
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // From here on there is something to drain.
    entered.recv().await.unwrap();
    admin.shutdown.trigger();
    eventually("it says so", || async { admin.readyz().await.0 == 503 }).await;
    assert_eq!(admin.readyz().await.1["status"], "stopping");
    assert_eq!(admin.get("/livez").await.0, 200);
    assert!(!admin.served.is_finished() && !door.is_finished());
    drop(client);
    tokio::time::timeout(PATIENCE, admin.served)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap();
    assert!(door.await.unwrap().is_ok());
}
