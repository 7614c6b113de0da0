//! Taking an order back.

use contracts::testing::{admin, customer};
use serde_json::json;
use uuid::Uuid;

use crate::app::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_order_is_cancelled_and_stays_so() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let answer = orders
        .call(&buyer, "POST", &format!("/v1/orders/{order_id}/cancel"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let order = answer.json();
    assert_eq!(order["status"], "cancelled");
    assert_eq!(order["id"], order_id.to_string());
    assert_eq!(order["items"][0]["quantity"], 1);

    let told = &world.broker.events(order_id, 2).await[1];
    assert_eq!(told.event_type(), "agora.order.cancelled.v1");
    assert_eq!(told.sequence(), 2);
    assert_eq!(told.header("ce_correlationid"), order_id.to_string());
    assert_eq!(
        told.data(),
        json!({"order_id": order_id, "user_id": buyer.id})
    );

    // The stock that was reserved meanwhile comes too late.
    world.broker.reserved(order_id).await;
    let later = orders.place(&buyer, lamp, 1).await;
    world.broker.reserved(later).await;
    orders.until_status(&buyer, later, "confirmed").await;
    let path = format!("/v1/orders/{order_id}");
    assert_eq!(orders.get(&buyer, &path).await.json(), order);
    assert_eq!(world.broker.events(order_id, 2).await.len(), 2);
}

/// The answer got lost, and the client, or a retry on its way, sends the cancel again. What it asked for is so.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_comes_again_is_answered_the_same() {
    let world = World::new().await;
    // The window closes at once: nothing but the first cancel can have done it.
    let orders = world.serve(&[("--cancel-window", "0")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let path = format!("/v1/orders/{order_id}");
    let first = orders.call(&buyer, "DELETE", &path).await;
    assert_eq!(first.status, 200, "{first:?}");
    let cancel = format!("{path}/cancel");
    for (method, path) in [("DELETE", &path), ("POST", &cancel)] {
        let again = orders.call(&buyer, method, path).await;
        assert_eq!((again.status, &again.body), (200, &first.body), "{method}");
    }
    let stranger = orders.call(&customer(), "DELETE", &path).await;
    stranger.assert_problem(404);
    // Told once.
    assert_eq!(orders.order(&buyer, order_id).await, first.json());
    assert_eq!(world.broker.events(order_id, 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_is_cancelled_within_its_window() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.reserved(order_id).await;
    orders.until_status(&buyer, order_id, "confirmed").await;
    let answer = orders
        .call(&buyer, "DELETE", &format!("/v1/orders/{order_id}"))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(world.broker.events(order_id, 3).await[2].sequence(), 3);
    // Of the orders that nobody has decided yet it is none.
    let counted = r#"orders_decided_total{status="cancelled",from="confirmed"}"#;
    assert!(chassis::metrics::render().contains(counted));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_window_it_is_too_late() {
    let world = World::new().await;
    let orders = world.serve(&[("--cancel-window", "0")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.reserved(order_id).await;
    orders.until_status(&buyer, order_id, "confirmed").await;
    let answer = orders
        .call(&buyer, "POST", &format!("/v1/orders/{order_id}/cancel"))
        .await;
    answer.assert_problem(409);
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_cannot_be_cancelled() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.rejected(order_id, "none left").await;
    orders.until_status(&buyer, order_id, "rejected").await;
    orders
        .call(&buyer, "POST", &format!("/v1/orders/{order_id}/cancel"))
        .await
        .assert_problem(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_and_admins_cancel() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let path = format!("/v1/orders/{order_id}/cancel");
    orders
        .call(&customer(), "POST", &path)
        .await
        .assert_problem(404);
    orders
        .call(&customer(), "DELETE", &format!("/v1/orders/{order_id}"))
        .await
        .assert_problem(404);
    orders
        .call(
            &buyer,
            "POST",
            &format!("/v1/orders/{}/cancel", Uuid::now_v7()),
        )
        .await
        .assert_problem(404);
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["status"], "pending");
    assert_eq!(orders.call(&admin(), "POST", &path).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_cancels_and_all_are_told_so() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let path = format!("/v1/orders/{order_id}/cancel");
    let calls = (0..8).map(|_| orders.call(&buyer, "POST", &path));
    let answers = futures::future::join_all(calls).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
    }
    assert_eq!(world.broker.events(order_id, 2).await.len(), 2);
}
