//! Who may do what.

use chrono::Utc;
use contracts::testing::{Someone, admin, claims, customer, forge, sign, unsigned};
use serde_json::json;
use uuid::Uuid;

use crate::app::{World, wish};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_without_a_good_token() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let with = |member: &str, value: serde_json::Value| {
        let mut claims = claims(buyer.id, "customer");
        claims[member] = value;
        sign(&claims)
    };
    let bad = [
        forge(&claims(buyer.id, "customer")),
        unsigned(&claims(buyer.id, "customer")),
        with("exp", json!(Utc::now().timestamp() - 120)),
        with("aud", json!("somebody else")),
        with("iss", json!("somebody else")),
        with("role", json!("emperor")),
        with("sub", json!("not a uuid")),
        "nonsense".to_owned(),
    ];
    let requests = [
        ("POST", "/v1/orders".to_owned()),
        ("GET", "/v1/orders".to_owned()),
        ("GET", format!("/v1/orders/{order_id}")),
        ("GET", format!("/v1/orders/{}", Uuid::now_v7())),
        ("POST", format!("/v1/orders/{order_id}/cancel")),
        ("DELETE", format!("/v1/orders/{order_id}")),
        ("GET", format!("/v1/users/{}/orders", buyer.id)),
    ];
    for (method, path) in &requests {
        let body = wish(&[(lamp, 1)]).to_string();
        let answer = orders
            .send(
                method,
                path,
                &[("content-type", "application/json")],
                body.clone(),
            )
            .await;
        answer.assert_problem(401);
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|value| value.starts_with("Bearer"))
        );
        for token in &bad {
            let bearer = format!("Bearer {token}");
            let headers = [
                ("content-type", "application/json"),
                ("authorization", bearer.as_str()),
            ];
            orders
                .send(method, path, &headers, body.clone())
                .await
                .assert_problem(401);
        }
    }
    assert_eq!(world.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_s_order_is_answered_as_if_there_were_none() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let other = customer();
    let told = |answer: crate::http::Answer| {
        answer.assert_problem(404);
        let mut json = answer.json();
        for member in ["instance", "trace_id"] {
            json.as_object_mut().unwrap().remove(member);
        }
        json
    };
    let theirs = told(orders.get(&other, &format!("/v1/orders/{order_id}")).await);
    let nobodys = told(
        orders
            .get(&other, &format!("/v1/orders/{}", Uuid::now_v7()))
            .await,
    );
    assert_eq!(theirs, nobodys);
    assert_eq!(
        orders
            .get(&admin(), &format!("/v1/orders/{order_id}"))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_belongs_to_the_token_not_to_the_body() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, victim) = (customer(), Uuid::now_v7());
    let mut body = wish(&[(world.catalog.product(100), 1)]);
    body["user_id"] = json!(victim);
    let answer = orders.post_order(&buyer, &body).await;
    assert_eq!(answer.json()["user_id"], json!(buyer.id));
    let boss = Someone {
        id: victim,
        ..admin()
    };
    let list = orders
        .get(&boss, &format!("/v1/users/{victim}/orders"))
        .await
        .json();
    assert_eq!(list["orders"], json!([]));
}
