//! In which versions an order is told, as it is configured.

use contracts::testing::customer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::World;
use crate::broker::Record;

const V1: &str = "agora.order.placed.v1";
const V2: &str = "agora.order.placed.v2";

/// What is told of one order, with this setting.
async fn told(world: &World, versions: &str, count: usize) -> (Uuid, Uuid, Uuid, Vec<Record>) {
    let orders = world.serve(&[("--order-placed-versions", versions)]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(1_250));
    let order_id = orders.place(&buyer, lamp, 2).await;
    world.broker.reserved(order_id).await;
    // One more, which comes behind whatever was told when it was placed.
    let told = world.broker.events(order_id, count + 1).await;
    orders.stop().await;
    (order_id, buyer.id, lamp, told)
}

fn v2(order_id: Uuid, user_id: Uuid, lamp: Uuid) -> Value {
    let money = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    json!({
        "order_id": order_id,
        "user_id": user_id,
        "items": [{"product_id": lamp, "quantity": 2, "unit_price": money(1_250)}],
        "total": money(2_500),
    })
}

fn v1(order_id: Uuid, user_id: Uuid, lamp: Uuid) -> Value {
    json!({
        "order_id": order_id,
        "user_id": user_id,
        "items": [{"product_id": lamp, "quantity": 2, "unit_price": 1_250}],
        "total_amount": 2_500,
        "currency": "EUR",
    })
}

fn types(told: &[Record]) -> Vec<(&str, u64)> {
    told.iter()
        .map(|record| (record.event_type(), record.sequence()))
        .collect()
}

const CONFIRMED: (&str, u64) = ("agora.order.confirmed.v1", 2);

#[tokio::test(flavor = "multi_thread")]
async fn one_version_is_one_event() {
    let world = World::new().await;
    let (order, user, lamp, told_v1) = told(&world, "v1", 1).await;
    assert_eq!(types(&told_v1), [(V1, 1), CONFIRMED]);
    assert_eq!(told_v1[0].data(), v1(order, user, lamp));

    let (order, user, lamp, told_v2) = told(&world, "v2", 1).await;
    assert_eq!(types(&told_v2), [(V2, 1), CONFIRMED]);
    assert_eq!(told_v2[0].data(), v2(order, user, lamp));
    for record in [&told_v1[0], &told_v2[0]] {
        assert!(!record.headers.contains_key("ce_logicalid"), "{record:?}");
        assert!(!record.headers.contains_key("ce_twins"), "{record:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_are_one_event_told_twice() {
    let world = World::new().await;
    let (order, user, lamp, told) = told(&world, "v1,v2", 2).await;
    assert_eq!(types(&told), [(V1, 1), (V2, 1), CONFIRMED]);
    assert_eq!(told[0].data(), v1(order, user, lamp));
    assert_eq!(told[1].data(), v2(order, user, lamp));

    let (older, newer) = (&told[0], &told[1]);
    assert_ne!(older.header("ce_id"), newer.header("ce_id"));
    assert_eq!(newer.header("ce_logicalid"), older.header("ce_id"));
    assert_eq!(
        (older.header("ce_twins"), newer.header("ce_twins")),
        (V2, V1)
    );
    for same in [
        "ce_time",
        "ce_correlationid",
        "ce_traceparent",
        "traceparent",
        "ce_subject",
    ] {
        assert_eq!(older.header(same), newer.header(same), "{same}");
    }
}

/// It is one order that is asked for again, in both versions, and a new event.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_asked_for_again_in_the_same_versions() {
    let world = World::new().await;
    let settings = [
        ("--order-placed-versions", "v1,v2"),
        ("--saga-deadline", "100ms"),
    ];
    let orders = world.serve(&settings).await;
    let order_id = orders.place(&customer(), world.catalog.product(1), 1).await;
    let told = world.broker.events(order_id, 4).await;
    assert_eq!(types(&told[..4]), [(V1, 1), (V2, 1), (V1, 2), (V2, 2)]);
    assert_eq!(told[3].header("ce_logicalid"), told[2].header("ce_id"));
    assert_ne!(told[2].header("ce_id"), told[0].header("ce_id"));
}
