//! Placing an order.

use chrono::{DateTime, Utc};
use contracts::testing::customer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{World, id, wish};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_answered_stored_and_told() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let buyer = customer();
    let (lamp, desk) = (world.catalog.product(1_250), world.catalog.product(99_900));

    let answer = orders
        .post_order(&buyer, &wish(&[(lamp, 2), (desk, 1)]))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let order = answer.json();
    let order_id = id(&order);
    assert_eq!(order_id.get_version_num(), 7);
    assert_eq!(
        answer.header("location"),
        Some(format!("/v1/orders/{order_id}").as_str())
    );
    assert_eq!(answer.header("idempotency-replayed"), None);

    // Exactly these members, and nothing else.
    let created_at = order["created_at"].as_str().unwrap();
    assert!((Utc::now() - created_at.parse::<DateTime<Utc>>().unwrap()).num_seconds() < 60);
    assert!(created_at.ends_with('Z'), "{created_at}");
    let expected = json!({
        "id": order_id,
        "user_id": buyer.id,
        "status": "pending",
        "items": [
            {"product_id": lamp, "quantity": 2, "unit_price": 1_250},
            {"product_id": desk, "quantity": 1, "unit_price": 99_900},
        ],
        "total_amount": 102_400,
        "currency": "EUR",
        "created_at": created_at,
        "updated_at": created_at,
    });
    assert_eq!(order, expected);
    assert_eq!(orders.order(&buyer, order_id).await, expected);

    // One call for all prices.
    assert_eq!(
        world.catalog.calls(),
        [[lamp.to_string(), desk.to_string()]]
    );

    let told = &world.broker.events(order_id, 1).await[0];
    assert_eq!(told.key, order_id.to_string());
    assert_eq!(told.header("ce_specversion"), "1.0");
    assert_eq!(told.event_type(), "agora.order.placed.v1");
    assert_eq!(told.header("ce_source"), "/services/orders");
    assert_eq!(told.header("ce_subject"), order_id.to_string());
    assert_eq!(told.header("ce_correlationid"), order_id.to_string());
    assert_eq!(told.header("content-type"), "application/json");
    assert_eq!(told.sequence(), 1);
    assert_eq!(
        told.header("ce_id")
            .parse::<Uuid>()
            .unwrap()
            .get_version_num(),
        7
    );
    told.header("ce_time").parse::<DateTime<Utc>>().unwrap();
    assert_eq!(
        told.data(),
        json!({
            "order_id": order_id,
            "user_id": buyer.id,
            "items": expected["items"],
            "total_amount": 102_400,
            "currency": "EUR",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_request_goes_on_in_the_event() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let body = wish(&[(lamp, 1)]).to_string();
    let answer = orders
        .post_raw(&buyer, &[("traceparent", &parent)], body)
        .await;
    let told = &world.broker.events(id(&answer.json()), 1).await[0];
    assert!(told.header("ce_traceparent").contains(trace), "{told:?}");
    assert!(told.header("traceparent").contains(trace), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_one_product_are_added_up() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (lamp, desk) = (world.catalog.product(100), world.catalog.product(7));
    let answer = orders
        .post_order(&customer(), &wish(&[(lamp, 2), (desk, 1), (lamp, 3)]))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let order = answer.json();
    assert_eq!(
        order["items"],
        json!([
            {"product_id": lamp, "quantity": 5, "unit_price": 100},
            {"product_id": desk, "quantity": 1, "unit_price": 7},
        ])
    );
    assert_eq!(order["total_amount"], 507);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_is_that_of_the_day() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.catalog.set_price(lamp, 250, "EUR");
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["total_amount"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_lines_as_allowed_stay_in_order() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let lines: Vec<_> = (1..=50)
        .map(|n| (world.catalog.product(i64::from(n)), n))
        .collect();
    let buyer = customer();
    let answer = orders.post_order(&buyer, &wish(&lines)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let path = format!("/v1/orders/{}", id(&answer.json()));
    let order = orders.get(&buyer, &path).await.json();
    let products: Vec<_> = order["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["product_id"].clone())
        .collect();
    assert_eq!(
        products,
        lines
            .iter()
            .map(|(id, _)| Value::from(id.to_string()))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        order["total_amount"],
        (1..=50_i64).map(|n| n * n).sum::<i64>()
    );
}
