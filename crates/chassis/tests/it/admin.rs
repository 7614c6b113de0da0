//! The switches on the admin port.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use chassis::admin::{self, BreakerCommand, BreakerState, Clients, DeadLetters};
use chassis::health::Health;
use chassis::http::Options;
use parking_lot::Mutex;
use resilience::fault::{Faults, Kind, Rule};
use serde_json::{Value, json};

use crate::support::server::{Answer, Server};

/// The routes as a service's admin port has them.
async fn port(clients: Clients, faults: Option<Faults>) -> Server {
    let controls = admin::controls("test", clients, DeadLetters::default(), faults);
    let router = admin::router(Health::new("test")).merge(controls);
    Server::plain(router, Options::default()).await
}

impl Server {
    async fn put_faults(&self, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(Method::PUT, "/faults", &headers, body.to_string())
            .await
    }

    async fn set_breaker(&self, name: &str, command: &Value) -> Answer {
        let path = format!("/clients/{name}/breaker");
        self.post(&path, "application/json", command.to_string())
            .await
    }
}

/// A client that only remembers what its breaker was told.
fn fake(clients: &Clients, name: &'static str) -> Arc<Mutex<Vec<BreakerCommand>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (read, write) = (Arc::clone(&told), Arc::clone(&told));
    clients.add(
        name,
        move || json!({"told": read.lock().len()}),
        move |command| match command.endpoint.as_deref() {
            Some("nowhere:1") => Err("there is no such endpoint".to_owned()),
            _ => {
                write.lock().push(command.clone());
                Ok(())
            }
        },
    );
    told
}

#[tokio::test]
async fn clients_are_shown_as_they_are_now() {
    let clients = Clients::new();
    let server = port(clients.clone(), None).await;
    assert_eq!(server.get("/clients").await.json(), json!({"clients": {}}));
    // A service adds its clients after the port was opened.
    fake(&clients, "orders");
    let answer = server.get("/clients").await;
    assert_eq!(answer.json(), json!({"clients": {"orders": {"told": 0}}}));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    fake(&clients, "products");
    let reset = json!({"state": "reset"});
    server.set_breaker("orders", &reset).await;
    assert_eq!(
        server.get("/clients").await.json(),
        json!({"clients": {"orders": {"told": 1}, "products": {"told": 0}}})
    );
    assert_eq!(
        server.get("/clients/orders").await.json(),
        json!({"told": 1})
    );
    let unknown = server.get("/clients/mars").await.problem(404);
    assert_eq!(
        unknown["detail"],
        "the clients of this service are orders, products"
    );
    // The rest of the port is there, too.
    assert_eq!(server.get("/livez").await.text(), "ok\n");
    server.stop().await;
}

#[tokio::test]
async fn breakers_are_set_by_hand() {
    let clients = Clients::new();
    let told = fake(&clients, "orders");
    let server = port(clients, None).await;
    for state in ["open", "closed", "reset"] {
        let answer = server.set_breaker("orders", &json!({"state": state})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let one = json!({"state": "open", "endpoint": "127.0.0.1:8081"});
    assert_eq!(
        server.set_breaker("orders", &one).await.json(),
        json!({"told": 4})
    );
    let command = |state, endpoint: Option<&str>| BreakerCommand {
        state,
        endpoint: endpoint.map(ToOwned::to_owned),
    };
    assert_eq!(
        *told.lock(),
        [
            command(BreakerState::Open, None),
            command(BreakerState::Closed, None),
            command(BreakerState::Reset, None),
            command(BreakerState::Open, Some("127.0.0.1:8081")),
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_breaker_that_cannot_be_set_is_a_problem() {
    let clients = Clients::new();
    let told = fake(&clients, "orders");
    let server = port(clients, None).await;
    let open = json!({"state": "open"});
    server.set_breaker("mars", &open).await.problem(404);
    let ajar = server
        .set_breaker("orders", &json!({"state": "ajar"}))
        .await;
    assert_eq!(ajar.problem(422)["errors"][0]["pointer"], "/state");
    let empty = server.set_breaker("orders", &json!({})).await;
    assert_eq!(empty.problem(422)["errors"][0]["pointer"], "/state");
    let nowhere = json!({"state": "open", "endpoint": "nowhere:1"});
    assert_eq!(
        server.set_breaker("orders", &nowhere).await.problem(422)["errors"],
        json!([{"pointer": "/endpoint", "detail": "there is no such endpoint"}])
    );
    // No page in a browser can do it: a form cannot send JSON.
    let form = server.post("/clients/orders/breaker", "text/plain", open.to_string());
    form.await.problem(415);
    let huge = vec![b' '; 65 * 1024];
    let huge = server.post("/clients/orders/breaker", "application/json", huge);
    huge.await.problem(413);
    let read = server
        .send(Method::GET, "/clients/orders/breaker", &[], "")
        .await;
    read.problem(405);
    assert!(told.lock().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn faults_are_absent_unless_they_are_allowed() {
    let server = port(Clients::new(), None).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = server.send(method, "/faults", &[], "").await;
        assert_eq!(answer.status, 404);
    }
    server.stop().await;
}

#[tokio::test]
async fn faults_are_listed_replaced_and_cleared() {
    let (faults, clients) = (Faults::new(), Clients::new());
    for name in ["orders", "products", "users"] {
        fake(&clients, name);
    }
    let server = port(clients, Some(faults.clone())).await;
    assert_eq!(server.get("/faults").await.json(), json!({"rules": []}));
    let answer = server
        .put_faults(&json!({"rules": [
            {"target": "orders", "kind": "delay", "delay_ms": 800, "percent": 20},
            {"target": "orders", "kind": "fail", "percent": 1},
            {"target": "products", "kind": "hang"},
        ]}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rule = |target: &str, percent, kind| Rule {
        target: target.to_owned(),
        percent,
        kind,
    };
    let rules = [
        rule("orders", 20, Kind::Delay(Duration::from_millis(800))),
        rule("orders", 1, Kind::Fail),
        rule("products", 100, Kind::Hang),
    ];
    assert_eq!(faults.list(), rules);
    let shown = server.get("/faults").await.json();
    assert_eq!(shown, answer.json());
    assert_eq!(
        shown["rules"][0],
        json!({"target": "orders", "percent": 20, "kind": "delay", "delay_ms": 800, "broken": 0})
    );
    // What is shown can be put back.
    assert_eq!(server.put_faults(&shown).await.status, 200);
    assert_eq!(faults.list(), rules);
    // `PUT` replaces.
    let one = json!({"rules": [{"target": "users", "kind": "fail"}]});
    server.put_faults(&one).await;
    assert_eq!(faults.list(), [rule("users", 100, Kind::Fail)]);
    let cleared = server.send(Method::DELETE, "/faults", &[], "").await;
    assert_eq!(cleared.status, 204);
    assert!(faults.list().is_empty());
    server.stop().await;
}

/// A switch that does nothing, and says that it does, is worse than none.
#[tokio::test]
async fn a_rule_for_nobody_is_refused_and_the_targets_are_listed() {
    let (faults, clients) = (Faults::new(), Clients::new());
    let server = port(clients.clone(), Some(faults.clone())).await;
    let rule = json!({"rules": [{"target": "mars", "kind": "fail"}]});
    let problem = server.put_faults(&rule).await.problem(422);
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/rules/0/target", "detail": "this service calls no other, so there is none"}])
    );
    fake(&clients, "orders");
    fake(&clients, "products");
    let problem = server.put_faults(&rule).await.problem(422);
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/rules/0/target", "detail": "must be one of orders, products"}])
    );
    assert!(faults.list().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn all_that_is_wrong_with_rules_is_told_and_nothing_changes() {
    let (faults, clients) = (Faults::new(), Clients::new());
    for name in ["orders", "products", "users"] {
        fake(&clients, name);
    }
    let server = port(clients, Some(faults.clone())).await;
    let good = json!({"rules": [{"target": "users", "kind": "fail"}]});
    server.put_faults(&good).await;
    let answer = server
        .put_faults(&json!({"rules": [
            {"target": "", "kind": "melt", "percent": 101},
            {"target": "orders", "kind": "delay"},
            {"target": "orders", "kind": "delay", "delay_ms": 0},
            {"target": "orders", "kind": "hang", "delay_ms": 5},
            {"kind": "fail", "percent": -1, "colour/x": "red"},
            {"target": "orders", "kind": "fail", "percent": "all"},
            7,
            {"target": "orders", "kind": "fail"},
        ]}))
        .await;
    let problem = answer.problem(422);
    let mut wrong: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    wrong.sort_unstable();
    assert_eq!(
        wrong,
        [
            "/rules/0/kind",
            "/rules/0/percent",
            "/rules/0/target",
            "/rules/1/delay_ms",
            "/rules/2/delay_ms",
            "/rules/3/delay_ms",
            "/rules/4/colour~1x",
            "/rules/4/percent",
            "/rules/4/target",
            "/rules/5/percent",
            "/rules/6",
        ]
    );
    let many: Vec<_> = (0..101).map(|_| good["rules"][0].clone()).collect();
    for body in [json!([]), json!({"rules": 1}), json!({ "rules": many })] {
        let problem = server.put_faults(&body).await.problem(422);
        assert_eq!(problem["errors"][0]["pointer"], "/rules");
    }
    assert_eq!(faults.list().len(), 1, "nothing changed");
    server.stop().await;
}
