//! Starting before the others, and stopping without dropping anybody.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::oneshot;

use crate::support::{Call, FakeShop, FakeUsers, TestGateway, serve, start, unused};

/// Polls until it is ready; fails after a minute.
async fn until_ready(gateway: &TestGateway) {
    let poll = async {
        while !gateway.ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll)
        .await
        .unwrap();
}

#[tokio::test]
async fn it_is_ready_when_it_has_the_keys() {
    let port = unused();
    let users = port.local_addr().unwrap();
    let gateway = start(users, FakeShop::default().serve().await, &[]).await;
    assert!(!gateway.ready().await);
    FakeUsers::default().serve_on(port.listen(128).unwrap());
    until_ready(&gateway).await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_it_stops() {
    let (arrived, has_arrived) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let once = parking_lot::Mutex::new(Some((arrived, released)));
    let once = std::sync::Arc::new(once);
    let slow = move || {
        let (arrived, released) = once.lock().take().unwrap();
        async move {
            arrived.send(()).unwrap();
            released.await.unwrap();
            "done"
        }
    };
    let shop = serve(Router::new().route("/v1/orders/slow", get(slow))).await;
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, shop, &[]).await;

    let answer = tokio::spawn(gateway.get("/api/orders/slow").send());
    has_arrived.await.unwrap();
    gateway.shutdown.trigger();
    release.send(()).unwrap();
    assert_eq!(answer.await.unwrap().body, "done");
    gateway.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_bad_setting_is_one_line_that_names_it() {
    for (flag, hint) in [
        ("--gateway-routes=/users=orders:/v1", "GATEWAY_ROUTES"),
        ("--users-url=nowhere", "USERS_URL"),
        ("--rate-limit=-1", "RATE_LIMIT"),
        ("--orders-client=bulkhead=0+1/1s", "ORDERS_CLIENT"),
        ("--users-client=deadline=5", "USERS_CLIENT"),
        (
            "--products-client=deadline=1s,attempt=2s",
            "PRODUCTS_CLIENT",
        ),
    ] {
        let error =
            chassis::config::try_from_args::<gateway::Config>(["gateway", flag]).unwrap_err();
        assert!(
            error.contains(hint) && error.lines().count() == 1,
            "{flag}: {error}"
        );
    }
}

#[tokio::test]
async fn what_calls_cost_is_in_the_metrics() {
    let gateway = TestGateway::healthy().await;
    gateway.get("/api/products/1").send().await.ok(200);
    let url = format!("http://{}/metrics", gateway.admin);
    let exported = async {
        loop {
            let answer = Call::new(http::Method::GET, url.clone()).send().await;
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            let of_products = |line: &&str| line.contains(r#"peer="products""#);
            let count = |name: &str| {
                let of_gateway = |line: &&str| line.contains(r#"service="gateway""#);
                text.lines()
                    .filter(of_products)
                    .filter(of_gateway)
                    .find(|line| line.starts_with(name))
                    .and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            };
            if count("resilience_attempts_total{").is_some_and(|count| count >= 1.0)
                && count("resilience_limit{") == Some(256.0)
            {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), exported)
        .await
        .unwrap();
}
