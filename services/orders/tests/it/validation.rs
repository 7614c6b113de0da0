//! What is refused, and how it is said.

use contracts::testing::customer;
use serde_json::json;
use uuid::Uuid;

use crate::app::{World, wish};

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_in_a_body_is_named_at_once() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = json!({"items": [
        {"product_id": "lamp", "quantity": 0},
        {"product_id": lamp, "quantity": -1},
        {"quantity": 1.5},
        {"product_id": lamp},
        "lamp",
        {"product_id": lamp, "quantity": 10_000_000_000_u64},
        {"product_id": lamp, "quantity": "1"},
    ]});
    let answer = orders.post_order(&buyer, &body).await;
    answer.assert_problem(422);
    assert_eq!(
        answer.pointers(),
        [
            "/items/0/product_id",
            "/items/0/quantity",
            "/items/1/quantity",
            "/items/2/quantity",
            "/items/2/product_id",
            "/items/3/quantity",
            "/items/4",
            "/items/5/quantity",
            "/items/6/quantity",
        ]
    );
    // Nobody was asked for prices, and nothing was kept.
    assert!(world.catalog.calls().is_empty());
    assert_eq!(world.count("orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_a_wrong_shape_are_refused() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let cases = [
        (json!([]), ""),
        (json!(1), ""),
        (json!({}), "/items"),
        (json!(null), ""),
        (json!({"items": null}), "/items"),
        (json!({"items": {}}), "/items"),
        (json!({"items": []}), "/items"),
        (wish(&[(lamp, 1); 51]), "/items"),
        (wish(&[(lamp, 1000), (lamp, 1)]), "/items/1/quantity"),
    ];
    for (body, pointer) in cases {
        let answer = orders.post_order(&buyer, &body).await;
        answer.assert_problem(422);
        assert_eq!(answer.pointers(), [pointer], "{body}");
    }
}

/// Which of two is meant cannot be told, and whoever reads the body before us may tell it differently.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_given_twice_are_refused() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let item = format!(r#"{{"product_id": "{lamp}", "quantity": 1, "quantity": 2}}"#);
    for (body, pointers) in [
        (
            format!(r#"{{"items": [{item}]}}"#),
            vec!["/items/0/quantity"],
        ),
        (
            format!(r#"{{"items": [{item}], "items": [{{}}], "note": 1, "note": 2}}"#),
            vec![
                "/items/0/quantity",
                "/items",
                "/note",
                "/items/0/product_id",
                "/items/0/quantity",
            ],
        ),
    ] {
        let answer = orders.post_raw(&buyer, &[], body).await;
        answer.assert_problem(422);
        assert_eq!(answer.pointers(), pointers);
    }
    assert_eq!(world.count("orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let buyer = customer();
    for body in [
        "",
        "{",
        "{\"items\": [}",
        "items",
        "{} {}",
        "{\"items\": 1e999}",
    ] {
        orders.post_raw(&buyer, &[], body).await.assert_problem(400);
    }
    orders
        .post_raw(&buyer, &[], b"{\"items\": \"\xff\"}".as_slice())
        .await
        .assert_problem(400);
    orders
        .post_raw(&buyer, &[], "[".repeat(10_000))
        .await
        .assert_problem(400);

    let large = json!({"items": "x".repeat(2 * 1024 * 1024)}).to_string();
    orders
        .post_raw(&buyer, &[], large)
        .await
        .assert_problem(413);

    let bearer = format!("Bearer {}", buyer.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "text/plain"),
    ];
    orders
        .send("POST", "/v1/orders", &headers, "{}")
        .await
        .assert_problem(415);
    orders
        .send("POST", "/v1/orders", &headers[..1], "{}")
        .await
        .assert_problem(415);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_products_are_pointed_at() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (lamp, nothing) = (world.catalog.product(100), Uuid::now_v7());
    let body = wish(&[(nothing, 1), (lamp, 1), (Uuid::now_v7(), 1), (nothing, 2)]);
    let answer = orders.post_order(&customer(), &body).await;
    answer.assert_problem(422);
    assert_eq!(
        answer.pointers(),
        [
            "/items/0/product_id",
            "/items/2/product_id",
            "/items/3/product_id"
        ]
    );
    assert_eq!(world.count("orders").await, 0);
    assert_eq!(world.count("outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_that_does_not_fit_is_refused() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let palace = world.catalog.product(i64::MAX / 2);
    let answer = orders.post_order(&customer(), &wish(&[(palace, 3)])).await;
    answer.assert_problem(422);
    assert_eq!(answer.pointers(), ["/items"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let buyer = customer();
    orders.get(&buyer, "/v1/nothing").await.assert_problem(404);
    orders
        .call(&buyer, "PATCH", "/v1/orders")
        .await
        .assert_problem(405);
    for path in ["/v1/orders/7", "/v1/orders/%00", "/v1/users/me/orders"] {
        orders.get(&buyer, path).await.assert_problem(404);
    }
    orders
        .call(&buyer, "POST", "/v1/orders/x/cancel")
        .await
        .assert_problem(404);
    orders
        .call(&buyer, "DELETE", "/v1/orders/x")
        .await
        .assert_problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_that_do_not_add_up_are_the_catalogue_s_fault() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (lamp, desk) = (world.catalog.product(100), Uuid::now_v7());
    world.catalog.set_price(desk, 100, "USD");
    let answer = orders
        .post_order(&customer(), &wish(&[(lamp, 1), (desk, 1)]))
        .await;
    answer.assert_problem(502);
    assert!(
        !String::from_utf8_lossy(&answer.body).contains("USD"),
        "{answer:?}"
    );
}
