//! Who may use an admin port.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{Request, Version};
use bytes::Bytes;
use chassis::admin::{self, Access, Clients, DeadLetters};
use chassis::health::Health;
use chassis::{Shutdown, listen};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience::fault::{Faults, Kind, Rule};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::log;
use crate::support::raw::Raw;

const TOKEN: &str = "an-admin-token-of-34-characters-xx";
/// Everything that is not a probe.
const GUARDED: [&str; 5] = [
    "/metrics",
    "/clients",
    "/dead-letters",
    "/faults",
    "/nothing",
];

/// An admin port with a client to break.
struct Port {
    address: SocketAddr,
    faults: Faults,
    shutdown: Shutdown,
}

impl Port {
    async fn open(bind: &str, access: Access) -> Self {
        log::init();
        let listener = listen::bind(bind, 0, "--admin-port", "ADMIN_PORT")
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let (faults, clients, shutdown) = (Faults::new(), Clients::new(), Shutdown::manual());
        clients.add("orders", || json!({}), |_| Ok(()));
        let health = Health::new("test");
        health.ready();
        let extra: Router = admin::controls(
            "test",
            clients,
            DeadLetters::default(),
            Some(faults.clone()),
        );
        tokio::spawn(admin::serve(
            listener,
            access,
            health,
            extra,
            shutdown.clone(),
        ));
        Self {
            address: ([127, 0, 0, 1], port).into(),
            faults,
            shutdown,
        }
    }

    async fn on_loopback() -> Self {
        Self::open("127.0.0.1", Access::default()).await
    }

    /// Sends a request whose lines after the first are `headers`; the status and the body.
    async fn ask(&self, line: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut client = Raw::connect(self.address).await;
        let mut text = format!("{line}\r\n");
        for header in headers {
            text += &format!("{header}\r\n");
        }
        text += &format!(
            "content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        client.send(text).await;
        let answer = client.rest().await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    async fn get(&self, path: &str, headers: &[&str]) -> u16 {
        let line = format!("GET {path} HTTP/1.1");
        self.ask(&line, headers, "").await.0
    }

    /// Tries each way to change something; the statuses.
    async fn change(&self, headers: &[&str]) -> Vec<(u16, String)> {
        let rule = json!({"rules": [{"target": "orders", "kind": "fail"}]}).to_string();
        let open = json!({"state": "open"}).to_string();
        let all = json!({"all": true}).to_string();
        let mut answers = Vec::new();
        for (line, body) in [
            ("PUT /faults HTTP/1.1", rule.as_str()),
            ("DELETE /faults HTTP/1.1", ""),
            ("POST /clients/orders/breaker HTTP/1.1", open.as_str()),
            ("POST /dead-letters/redrive HTTP/1.1", all.as_str()),
        ] {
            let mut all = vec!["host: localhost", "content-type: application/json"];
            all.extend(headers);
            answers.push(self.ask(line, &all, body).await);
        }
        answers
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

fn statuses(answers: &[(u16, String)]) -> Vec<u16> {
    answers.iter().map(|(status, _)| *status).collect()
}

fn problem(body: &str) -> Value {
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
    assert!(problem["type"].as_str().unwrap().starts_with("/problems/"));
    problem
}

/// DNS rebinding: the page's own name leads here, and the browser says so in `Host`.
#[tokio::test]
async fn a_foreign_host_is_refused() {
    let port = Port::on_loopback().await;
    for host in [
        "evil.example",
        "evil.example:8091",
        "localhost.evil.example",
        "127.0.0.1.nip.example",
        "evil.localhost",
        "192.0.2.7",
        "[2001:db8::1]",
        "0.0.0.0",
    ] {
        for path in GUARDED {
            let header = format!("host: {host}");
            assert_eq!(port.get(path, &[&header]).await, 403, "{host} {path}");
        }
    }
    let put = port
        .ask(
            "PUT /faults HTTP/1.1",
            &["host: evil.example", "content-type: application/json"],
            "{}",
        )
        .await;
    assert_eq!(put.0, 403);
    let problem = problem(&put.1);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("evil.example") && detail.contains("ADMIN_HOSTS"),
        "{detail}"
    );
    assert_eq!(problem["instance"], "/faults");
}

#[tokio::test]
async fn loopback_names_are_known_with_any_port() {
    let port = Port::on_loopback().await;
    for host in [
        "localhost",
        "LOCALHOST:1",
        "localhost.:8091",
        "127.0.0.1",
        "127.0.0.1:65535",
        "[::1]:8091",
        "[::1]",
    ] {
        let header = format!("Host: {host}");
        assert_eq!(port.get("/metrics", &[&header]).await, 200, "{host}");
        assert_eq!(port.get("/nothing", &[&header]).await, 404, "{host}");
    }
}

#[tokio::test]
async fn listed_names_are_known_and_no_others() {
    let hosts = ["orders", "orders.internal", "10.9.8.7", "fd00::7"];
    let access = Access {
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        token: None,
    };
    let port = Port::open("0.0.0.0", access).await;
    for host in [
        "orders:8091",
        "ORDERS.internal.",
        "10.9.8.7:8091",
        "[FD00:0::7]:8091",
    ] {
        let header = format!("host: {host}");
        assert_eq!(port.get("/metrics", &[&header]).await, 200, "{host}");
    }
    for host in [
        "order",
        "orders.internal.evil.example",
        "10.9.8.70",
        "[fd00::8]",
    ] {
        let header = format!("host: {host}");
        assert_eq!(port.get("/metrics", &[&header]).await, 403, "{host}");
    }
}

/// Probes ask by address, and HTTP/1.0 ones by nothing.
#[tokio::test]
async fn probes_are_answered_whoever_they_ask_for() {
    let port = Port::on_loopback().await;
    for path in ["/livez", "/readyz"] {
        for headers in [
            &["host: evil.example"][..],
            &["host: 10.0.0.1:8091"],
            &["host: a b"],
        ] {
            // An unreadable Host may be refused as such by the server itself, but is no foreign one.
            assert_ne!(port.get(path, headers).await, 403, "{path} {headers:?}");
        }
        assert_eq!(port.get(path, &["host: 10.0.0.1:8091"]).await, 200);
        assert_eq!(
            port.ask(&format!("GET {path} HTTP/1.0"), &[], "").await.0,
            200
        );
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_told_is_400() {
    let port = Port::on_loopback().await;
    for headers in [
        &[][..],
        &["host: localhost", "host: localhost"],
        &["host: localhost", "host: evil.example"],
        &["host: localhost:port"],
        &["host: me@localhost"],
        &["host: [::1"],
        &["host: "],
    ] {
        assert_eq!(port.get("/metrics", headers).await, 400, "{headers:?}");
    }
}

#[tokio::test]
async fn a_target_with_a_host_counts_as_much_as_the_header() {
    let port = Port::on_loopback().await;
    for (target, host, status) in [
        ("http://localhost/metrics", "localhost", 200),
        ("http://evil.example/metrics", "localhost", 403),
        ("http://localhost/metrics", "evil.example", 403),
    ] {
        let line = format!("GET {target} HTTP/1.1");
        let header = format!("host: {host}");
        assert_eq!(
            port.ask(&line, &[&header], "").await.0,
            status,
            "{target} {host}"
        );
    }
}

#[tokio::test]
async fn http2_is_asked_by_its_authority() {
    let port = Port::on_loopback().await;
    let stream = TcpStream::connect(port.address).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for (uri, status) in [
        ("http://localhost:8091/metrics", 200),
        ("http://evil.example/metrics", 403),
        ("http://evil.example/readyz", 200),
    ] {
        let request = Request::get(uri).version(Version::HTTP_2);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{uri}");
        answer.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn only_pages_of_its_own_may_send_an_origin() {
    let port = Port::on_loopback().await;
    let host = "host: localhost:8091";
    for origin in [
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "null",
        "file://",
        "garbage",
        "",
    ] {
        let origin = format!("origin: {origin}");
        for path in GUARDED {
            assert_eq!(
                port.get(path, &[host, &origin]).await,
                403,
                "{origin} {path}"
            );
        }
    }
    let own = "origin: http://LOCALHOST:8091";
    assert_eq!(port.get("/metrics", &[host, own]).await, 200);
    assert_eq!(
        port.get("/metrics", &[host, own, own]).await,
        403,
        "two of them"
    );
    // A probe has none, and one that has is answered all the same.
    assert_eq!(port.get("/readyz", &[host, "origin: null"]).await, 200);
}

#[tokio::test]
async fn on_the_loopback_switches_need_no_token() {
    let port = Port::on_loopback().await;
    assert_eq!(statuses(&port.change(&[]).await), [200, 204, 200, 200]);
}

#[tokio::test]
async fn elsewhere_switches_are_closed_without_a_token_that_is_set() {
    let port = Port::open("0.0.0.0", Access::default()).await;
    let bearer = format!("authorization: Bearer {TOKEN}");
    for headers in [&[][..], &[bearer.as_str()]] {
        for (status, body) in port.change(headers).await {
            assert_eq!(status, 403);
            let problem = problem(&body);
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains("ADMIN_TOKEN") && detail.contains("ADMIN_BIND_HOST"),
                "{detail}"
            );
        }
    }
    assert!(port.faults.list().is_empty());
    // To look is free: the names keep strangers out.
    assert_eq!(port.get("/faults", &["host: localhost"]).await, 200);
}

#[tokio::test]
async fn a_token_that_is_set_is_needed_wherever_the_port_is() {
    for bind in ["127.0.0.1", "0.0.0.0"] {
        let access = Access {
            hosts: Vec::new(),
            token: Some(TOKEN.parse().unwrap()),
        };
        let port = Port::open(bind, access).await;
        let bearer = format!("authorization: Bearer {TOKEN}");
        let wrong = format!("{bearer}x");
        let basic = format!("authorization: Basic {TOKEN}");
        for headers in [
            &[][..],
            &[wrong.as_str()],
            &[basic.as_str()],
            &[bearer.as_str(), wrong.as_str()],
        ] {
            for (status, body) in port.change(headers).await {
                assert_eq!(status, 401, "{bind} {headers:?}");
                assert!(!problem(&body).to_string().contains(TOKEN));
            }
        }
        assert!(port.faults.list().is_empty());
        assert_eq!(
            statuses(&port.change(&[&bearer]).await),
            [200, 204, 200, 200]
        );
        let rule = Rule {
            target: "orders".to_owned(),
            percent: 100,
            kind: Kind::Fail,
        };
        let body = json!({"rules": [{"target": "orders", "kind": "fail"}]}).to_string();
        let headers = ["host: localhost", "content-type: application/json", &bearer];
        assert_eq!(
            port.ask("PUT /faults HTTP/1.1", &headers, &body).await.0,
            200
        );
        assert_eq!(port.faults.list(), [rule]);
        assert!(log::lines_with(TOKEN).is_empty());
    }
}
