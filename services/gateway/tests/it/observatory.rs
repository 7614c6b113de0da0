//! The way to the observatory: only where there is one, and only for those who may look.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use contracts::identity::{ADMIN, CUSTOMER};
use futures::future::join_all;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::support::{Call, FakeShop, FakeUsers, TestGateway, nobody, serve, start, token_for};

/// More than are called at a time, and than may wait for that.
const WATCHERS: usize = 80;
/// How many are called at a time.
const CALLED: usize = 32;

/// What the fake observatory was asked for.
type Asked = Arc<Mutex<Vec<(Method, String, HeaderMap)>>>;

async fn fake() -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let note = Arc::clone(&asked);
    let answer = move |request: Request| {
        let (head, _) = request.into_parts();
        note.lock()
            .push((head.method, head.uri.to_string(), head.headers));
        async { axum::Json(json!({ "rules": [] })) }
    };
    (serve(Router::new().fallback(any(answer))).await, asked)
}

async fn gateway(observatory: SocketAddr, flags: &[&str]) -> TestGateway {
    let (users, _) = FakeUsers::default().serve().await;
    let shop = FakeShop::default().serve().await;
    let url = format!("--observatory-url=http://{observatory}");
    let mut all = vec![url.as_str()];
    all.extend(flags);
    let gateway = start(users, shop, &all).await;
    while !gateway.ready().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway
}

/// A switch as a page of this origin presses it.
fn press(gateway: &TestGateway, origin: &str) -> Call {
    gateway
        .call(Method::PUT, "/observatory/faults/orders")
        .header("origin", origin)
        .json(&json!({ "rules": [] }))
}

#[tokio::test]
async fn there_is_none_unless_the_gateway_is_told_of_one() {
    let gateway = TestGateway::healthy().await;
    for path in [
        "/observatory",
        "/observatory/state",
        "/observatory/traces/1",
    ] {
        gateway.get(path).send().await.problem(404, path);
    }
    let own = format!("http://{}", gateway.address);
    let answer = press(&gateway, &own).send().await;
    answer.problem(404, "/observatory/faults/orders");
}

#[tokio::test]
async fn no_page_of_others_reads_it_or_presses_a_switch() {
    let (observatory, asked) = fake().await;
    let gateway = gateway(observatory, &[]).await;
    let own = format!("http://{}", gateway.address);
    let state = || gateway.get("/observatory/state");
    for (what, call) in [
        (
            "read under a name that leads here",
            state().header("host", "evil.example"),
        ),
        (
            "read by another page",
            state().header("origin", "http://evil.example"),
        ),
        ("another origin", press(&gateway, "http://evil.example")),
        ("no origin", press(&gateway, "null")),
        (
            "a name that leads here",
            press(&gateway, "http://evil.example").header("host", "evil.example"),
        ),
        (
            "no page",
            gateway
                .call(Method::DELETE, "/observatory/faults")
                .header("content-type", "application/json"),
        ),
        (
            "a form",
            gateway
                .call(Method::PUT, "/observatory/faults/orders")
                .header("origin", &own)
                .header("content-type", "application/x-www-form-urlencoded")
                .body("rules=[]"),
        ),
    ] {
        assert_eq!(call.send().await.status, 403, "{what}");
    }
    assert_eq!(asked.lock().len(), 0, "none of them got through");

    state().send().await.ok(200);
    press(&gateway, &own).send().await.ok(200);
    let asked = asked.lock();
    let paths: Vec<_> = asked.iter().map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/v1/state", "/v1/faults/orders"]);
    let origin = format!("http://{observatory}");
    assert_eq!(asked[1].2["origin"], origin.as_str());
}

#[tokio::test]
async fn off_the_loopback_it_is_for_administrators() {
    let (observatory, asked) = fake().await;
    let gateway = gateway(observatory, &["--bind-host=0.0.0.0"]).await;
    let state = || gateway.get("/observatory/state");
    let user = |role| token_for(Uuid::new_v4(), role);
    assert_eq!(state().send().await.status, 401);
    assert_eq!(state().token("forged").send().await.status, 401);
    assert_eq!(state().token(&user(CUSTOMER)).send().await.status, 403);
    let own = format!("http://{}", gateway.address);
    assert_eq!(press(&gateway, &own).send().await.status, 401);
    let customer = press(&gateway, &own).token(&user(CUSTOMER));
    assert_eq!(customer.send().await.status, 403);
    assert_eq!(asked.lock().len(), 0, "none of them got through");

    state().token(&user(ADMIN)).send().await.ok(200);
    press(&gateway, &own)
        .token(&user(ADMIN))
        .send()
        .await
        .ok(200);
    assert_eq!(asked.lock().len(), 2);
}

#[tokio::test]
async fn behind_a_proxy_it_is_for_administrators() {
    let (observatory, asked) = fake().await;
    let admin = token_for(Uuid::new_v4(), ADMIN);
    for flag in [
        "--trusted-proxies=127.0.0.1",
        "--observatory-hosts=shop.example",
    ] {
        let gateway = gateway(observatory, &[flag]).await;
        let state = || gateway.get("/observatory/state");
        assert_eq!(state().send().await.status, 401, "{flag}");
        state().token(&admin).send().await.ok(200);
    }
    assert_eq!(asked.lock().len(), 2, "none of the others got through");

    let gateway = gateway(observatory, &["--observatory-hosts=127.0.0.2"]).await;
    let state = || gateway.get("/observatory/state");
    for (name, value) in [
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "192.0.2.1"),
        ("via", "1.1 proxy"),
    ] {
        let brought = state().header(name, value);
        assert_eq!(brought.send().await.status, 401, "{name}");
    }
    let brought = state().header("via", "1.1 proxy").token(&admin);
    brought.send().await.ok(200);
    // As nginx asks unless it is told otherwise: by the address that it knows, and in words of 1996.
    let mut nginx = TcpStream::connect(gateway.address).await.unwrap();
    let request = format!(
        "GET /observatory/state HTTP/1.0\r\nhost: {}\r\nconnection: close\r\n\r\n",
        gateway.address
    );
    nginx.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    nginx.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(" 401 "), "{answer}");
    assert_eq!(asked.lock().len(), 3);
    state().send().await.ok(200);
}

#[tokio::test]
async fn it_is_shown_its_own_token_and_nobody_elses() {
    let (observatory, asked) = fake().await;
    let gateway = gateway(observatory, &["--observatory-token=0123456789abcdef"]).await;
    let admin = token_for(Uuid::new_v4(), ADMIN);
    let call = gateway.get("/observatory/state").token(&admin);
    call.header("cookie", "a=b").send().await.ok(200);
    let (_, _, headers) = &asked.lock()[0];
    assert_eq!(headers["authorization"], "Bearer 0123456789abcdef");
    assert_eq!(headers.get("cookie"), None);
}

/// Accepts connections and says nothing; counts them.
async fn stalled() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, count)
}

#[tokio::test]
async fn one_that_is_stalled_or_dead_costs_the_shop_nothing() {
    let (observatory, connections) = stalled().await;
    let gateway = Arc::new(gateway(observatory, &[]).await);
    let watchers = (0..WATCHERS).map(|_| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move { gateway.get("/observatory/state").send().await.status })
    });
    let watchers: Vec<_> = watchers.collect();
    while connections.load(Ordering::Relaxed) < CALLED {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let shop = || async {
        let orders = (0..2 * CALLED).map(|_| gateway.get("/api/orders/1").send());
        for answer in join_all(orders).await {
            answer.ok(200);
        }
    };
    shop().await;
    for watcher in watchers {
        assert!(watcher.await.unwrap().is_server_error());
    }

    let gateway = self::gateway(nobody().await, &[]).await;
    assert_eq!(gateway.get("/observatory/state").send().await.status, 503);
    gateway.get("/api/orders/1").send().await.ok(200);
}
