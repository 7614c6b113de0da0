//! The switches on the admin port.

use std::sync::{Arc, Mutex};

use axum::http::Method;
use chassis::admin::{self, BreakerCommand, BreakerState, Clients};
use chassis::health::Health;
use chassis::http::Options;
use serde_json::json;

use crate::support::server::{Answer, Server};

/// The routes as a service's admin port has them.
async fn port(clients: Clients) -> Server {
    let router = admin::router(Health::new("test")).merge(admin::controls("test", clients));
    Server::plain(router, Options::default()).await
}

impl Server {
    async fn set_breaker(&self, name: &str, command: &serde_json::Value) -> Answer {
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
        move || json!({"told": read.lock().unwrap().len()}),
        move |command| match command.endpoint.as_deref() {
            Some("nowhere:1") => Err("there is no such endpoint".to_owned()),
            _ => {
                write.lock().unwrap().push(command.clone());
                Ok(())
            }
        },
    );
    told
}

#[tokio::test]
async fn clients_are_shown_as_they_are_now() {
    let clients = Clients::new();
    let server = port(clients.clone()).await;
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
    let server = port(clients).await;
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
        *told.lock().unwrap(),
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
    let server = port(clients).await;
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
    assert!(told.lock().unwrap().is_empty());
    server.stop().await;
}
