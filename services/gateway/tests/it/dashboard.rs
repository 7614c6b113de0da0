//! The dashboard: whole, partial, and never somebody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use contracts::identity::{ADMIN, CUSTOMER};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    FakeShop, FakeUsers, TestGateway, nobody, serve, start, start_among, token_for,
};

const ME: Uuid = Uuid::max();
/// A dashboard that no deadline ends while the test looks.
const PATIENT: [&str; 5] = [
    "--dashboard-deadline=60s",
    "--request-timeout=60s",
    "--users-client=deadline=60s,attempt=60s",
    "--orders-client=deadline=60s,attempt=60s",
    "--products-client=deadline=60s,attempt=60s",
];

async fn dashboard(gateway: &TestGateway) -> Value {
    let path = format!("/api/dashboard/{ME}");
    gateway
        .get(&path)
        .token(&token_for(ME, CUSTOMER))
        .send()
        .await
        .ok(200)
}

fn parts(dashboard: &Value) -> Vec<&str> {
    dashboard["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["part"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn all_parts_come_together() {
    let goods: Vec<Uuid> = (1..=9).map(Uuid::from_u128).collect();
    let shop = FakeShop {
        ordered: vec![goods[1]],
        for_sale: goods
            .iter()
            .map(|id| (*id, i64::from(*id != goods[0])))
            .collect(),
    };
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, shop.serve().await, &[]).await;
    let seen = dashboard(&gateway).await;
    assert_eq!(
        (&seen["partial"], &seen["errors"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(seen["user"]["id"], ME.to_string());
    assert_eq!(seen["orders"][0]["status"], "confirmed");
    // Neither what is sold out nor what was bought, and not all there is.
    let recommended: Vec<_> = seen["recommended"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].clone())
        .collect();
    assert_eq!(json!(recommended), json!(goods[2..7]));
}

#[tokio::test]
async fn a_dead_part_is_left_out_and_named() {
    let (users, _) = FakeUsers::default().serve().await;
    let shop = FakeShop::default().serve().await;
    let gateway = start_among(users, nobody().await, shop, &[]).await;
    let seen = dashboard(&gateway).await;
    assert_eq!(
        (&seen["partial"], &seen["orders"]),
        (&json!(true), &Value::Null)
    );
    let error = json!({
        "part": "orders", "title": "Unavailable", "detail": "orders is unavailable at the moment",
    });
    assert_eq!(seen["errors"], json!([error]));
    assert_eq!(
        (&seen["user"]["name"], &seen["recommended"]),
        (&json!("Ann"), &json!([]))
    );
}

/// None of them is asked after another one was waited for, so their deadlines are one.
#[tokio::test]
async fn stuck_parts_cost_their_deadline_once_and_not_each() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let stuck = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    });
    let hanging = FakeUsers {
        hangs: true,
        ..Default::default()
    };
    let (shop, (users, fake)) = (serve(stuck).await, hanging.serve().await);
    let gateway = start(users, shop, &PATIENT).await;
    let call = gateway.get(&format!("/api/dashboard/{ME}"));
    let waits = tokio::spawn(call.token(&token_for(ME, CUSTOMER)).send());
    let all_are_asked = async {
        // Of orders and of products one each.
        while fake.users_asked.load(Ordering::SeqCst) < 1 || asked.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_are_asked)
        .await
        .expect("none of them waits for another");
    waits.abort();

    let gateway = start(users, shop, &["--dashboard-deadline=500ms"]).await;
    let seen = dashboard(&gateway).await;
    assert_eq!(parts(&seen), ["user", "orders", "recommended"]);
    assert_eq!(seen["errors"][1]["detail"], "orders did not answer in time");
}

#[tokio::test]
async fn a_part_that_keeps_hanging_is_not_waited_for_until_it_is_back() {
    let hangs = Arc::new(AtomicBool::new(true));
    let is_hanging = Arc::clone(&hangs);
    let orders = move || async move {
        if is_hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Json(json!({ "orders": [], "next_page_token": null }))
    };
    let orders = serve(Router::new().route("/v1/users/{id}/orders", get(orders))).await;
    let (users, _) = FakeUsers::default().serve().await;
    let products = FakeShop::default().serve().await;
    let flags = [
        "--dashboard-deadline=500ms",
        // Open for longer than the next dashboard takes to ask.
        "--orders-client=breaker=50%/3/1s",
    ];
    let gateway = start_among(users, orders, products, &flags).await;

    // Each of them costs the deadline, until the breaker has seen enough.
    let (mut details, mut others) = (Vec::new(), 0);
    while details
        .last()
        .is_none_or(|detail| detail != "orders is unavailable at the moment")
    {
        let seen = dashboard(&gateway).await;
        // On a busy machine another part may be late, too.
        let mut errors = seen["errors"].as_array().unwrap().iter();
        let orders = errors.find(|error| error["part"] == "orders").unwrap();
        others += usize::from(parts(&seen) == ["orders"] && !seen["recommended"].is_null());
        details.push(orders["detail"].clone());
        assert!(details.len() < 20, "{details:?}");
    }
    assert!(details.len() > 1, "it was waited for at first");
    assert!(others > 0, "the others are there");

    hangs.store(false, Ordering::SeqCst);
    let whole = async {
        while dashboard(&gateway).await["partial"] == true {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), whole)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_part_that_fails_is_told_without_its_secrets() {
    let broken = Router::new()
        .route(
            "/v1/products",
            get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "panicked at main.rs:1") }),
        )
        .route("/v1/users/{id}/orders", get(|| async { "no JSON" }));
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, serve(broken).await, &[]).await;
    let seen = dashboard(&gateway).await;
    assert_eq!(parts(&seen), ["orders", "recommended"]);
    assert!(!seen.to_string().contains("main.rs"), "{seen}");
}

#[tokio::test]
async fn a_dashboard_is_its_owners_and_the_admins() {
    let gateway = TestGateway::healthy().await;
    let admin = token_for(Uuid::now_v7(), ADMIN);
    let path = format!("/api/v1/dashboard/{ME}");
    assert_eq!(
        gateway.get(&path).token(&admin).send().await.ok(200)["user"]["id"],
        ME.to_string()
    );
    let stranger = token_for(Uuid::now_v7(), CUSTOMER);
    gateway
        .get(&path)
        .token(&stranger)
        .send()
        .await
        .problem(404, &path);
    gateway
        .get("/api/dashboard/17")
        .token(&admin)
        .send()
        .await
        .problem(404, "/api/dashboard/17");
    // There is nobody of this id.
    let path = format!("/api/dashboard/{}", Uuid::nil());
    gateway
        .get(&path)
        .token(&admin)
        .send()
        .await
        .problem(404, &path);
}
