//! Version 2 of the API: its form, and what each version makes of the other's orders and keys.

use contracts::testing::{Someone, customer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Service, World, bearer, id, wish};
use crate::http::Answer;

async fn post(
    orders: &Service,
    who: &Someone,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> Answer {
    let bearer = bearer(who);
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    orders.send("POST", path, &headers, body.to_string()).await
}

fn euros(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn address() -> Value {
    json!({"name": "Ada Lovelace", "street": "12 St James's Square", "postal_code": "SW1Y 4JH",
           "city": "London", "country": "GB"})
}

fn sent(lamp: Uuid, to: &Value) -> Value {
    let mut wish = wish(&[(lamp, 2)]);
    wish["shipping_address"] = to.clone();
    wish
}

/// What both versions show of the same order, each as it should be.
fn assert_same(v1: &Value, v2: &Value) {
    for same in ["id", "user_id", "status", "created_at", "updated_at"] {
        assert_eq!(v1[same], v2[same], "{same}");
    }
    let money = |amount: &Value| json!({"amount": amount, "currency": v1["currency"]});
    assert_eq!(v2["total"], money(&v1["total_amount"]));
    assert_eq!(
        v2["items"][0]["unit_price"],
        money(&v1["items"][0]["unit_price"])
    );
    assert_eq!(v1.get("shipping_address"), None);
    assert!(v2.get("total_amount").is_none() && v2.get("currency").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_says_where_it_goes_and_what_it_costs_in_one_value() {
    let world = World::new().await;
    let orders = world.serve(&[("--order-placed-versions", "v2")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(1_250));
    let answer = post(&orders, &buyer, "/v2/orders", None, &sent(lamp, &address())).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let order = answer.json();
    let order_id = id(&order);
    assert_eq!(
        answer.header("location"),
        Some(format!("/v2/orders/{order_id}").as_str())
    );
    // Exactly these members, and nothing else.
    let expected = json!({
        "id": order_id,
        "user_id": buyer.id,
        "status": "pending",
        "items": [{"product_id": lamp, "quantity": 2, "unit_price": euros(1_250)}],
        "total": euros(2_500),
        "shipping_address": address(),
        "created_at": order["created_at"],
        "updated_at": order["created_at"],
    });
    assert_eq!(order, expected);
    assert_eq!(
        orders
            .get(&buyer, &format!("/v2/orders/{order_id}"))
            .await
            .json(),
        expected
    );
    let page = orders.get(&buyer, "/v2/orders").await.json();
    assert_eq!(page, json!({"orders": [expected], "next_page_token": null}));

    // The event carries it on.
    let told = &world.broker.events(order_id, 1).await[0];
    assert_eq!(told.data()["shipping_address"], address());

    let cancelled = orders
        .call(&buyer, "POST", &format!("/v2/orders/{order_id}/cancel"))
        .await;
    assert_eq!(
        (cancelled.status, &cancelled.json()["status"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(cancelled.json()["shipping_address"], address());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_reads_the_other_s_orders() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(1_250));
    let old = orders.place(&buyer, lamp, 2).await;
    let new = post(&orders, &buyer, "/v2/orders", None, &sent(lamp, &address())).await;
    let new = id(&new.json());
    world.broker.rejected(old, "sold out").await;
    world.broker.reserved(new).await;
    orders.until_status(&buyer, old, "rejected").await;
    orders.until_status(&buyer, new, "confirmed").await;
    for order in [old, new] {
        let v1 = orders.order(&buyer, order).await;
        let v2 = orders
            .get(&buyer, &format!("/v2/orders/{order}"))
            .await
            .json();
        assert_same(&v1, &v2);
        let address = (order == new).then(address);
        assert_eq!(v2.get("shipping_address"), address.as_ref());
    }
    let v2 = orders
        .get(&buyer, &format!("/v2/orders/{old}"))
        .await
        .json();
    assert_eq!(
        v2["reason"],
        json!({"code": "stock_rejected", "text": "sold out"})
    );
    assert_eq!(orders.order(&buyer, old).await["reason"], "sold out");

    // A list begun in one version goes on in the other.
    let first = orders.get(&buyer, "/v1/orders?page_size=1").await.json();
    assert_eq!(first["orders"][0]["id"], json!(new));
    let token = first["next_page_token"].as_str().unwrap();
    let second = orders
        .get(
            &buyer,
            &format!("/v2/orders?page_size=1&page_token={token}"),
        )
        .await;
    assert_eq!(second.json()["orders"][0]["id"], json!(old));
}

/// A key is the customer's and not a version's: the same wish is a repetition, in whichever version it comes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_replays_across_versions_in_the_form_of_the_one_that_asks() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(1_250));
    let wish = wish(&[(lamp, 2)]);
    for (key, first, again) in [
        ("old", "/v1/orders", "/v2/orders"),
        ("new", "/v2/orders", "/v1/orders"),
    ] {
        let one = post(&orders, &buyer, first, Some(key), &wish).await;
        let two = post(&orders, &buyer, again, Some(key), &wish).await;
        let three = post(&orders, &buyer, first, Some(key), &wish).await;
        assert_eq!((one.status, two.status), (201, 201), "{two:?}");
        assert_eq!(two.header("idempotency-replayed"), Some("true"));
        let location = format!("{again}/{}", id(&one.json()));
        assert_eq!(two.header("location"), Some(location.as_str()));
        let (one, two) = (one.json(), two.json());
        assert_eq!(three.json(), one, "byte by byte");
        let (v1, v2) = if first == "/v1/orders" {
            (&one, &two)
        } else {
            (&two, &one)
        };
        assert_same(v1, v2);
    }
    assert_eq!(world.count("orders").await, 2);

    // With an address it is another wish, and so is another address.
    let sent_to = sent(lamp, &address());
    let refused = post(&orders, &buyer, "/v2/orders", Some("old"), &sent_to).await;
    refused.assert_problem(422);
    assert_eq!(
        post(&orders, &buyer, "/v2/orders", Some("sent"), &sent_to)
            .await
            .status,
        201
    );
    let replayed = post(&orders, &buyer, "/v2/orders", Some("sent"), &sent_to).await;
    assert_eq!(replayed.json()["shipping_address"], address());
    let mut elsewhere = address();
    elsewhere["city"] = json!("Leeds");
    for other in [wish, sent(lamp, &elsewhere)] {
        post(&orders, &buyer, "/v2/orders", Some("sent"), &other)
            .await
            .assert_problem(422);
    }
    assert_eq!(world.count("orders").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_checked_with_the_rest_of_the_body() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let body = json!({
        "items": [{"product_id": "x", "quantity": 1}],
        "shipping_address": {"name": "", "street": "1 Way", "city": "London", "country": "uk"},
    });
    let answer = post(&orders, &customer(), "/v2/orders", None, &body).await;
    answer.assert_problem(422);
    let mut pointers = answer.pointers();
    pointers.sort();
    let expected = [
        "/items/0/product_id",
        "/shipping_address/country",
        "/shipping_address/name",
    ];
    assert_eq!(pointers, expected);
    // The first version does not know it, and ignores it as anything that it does not know.
    let lamp = world.catalog.product(1);
    let placed = orders.post_order(&customer(), &sent(lamp, &json!(7))).await;
    assert_eq!(placed.status, 201, "{placed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_in_the_form_of_the_version_that_is_read() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order = orders.place(&buyer, lamp, 1).await;
    world.broker.rejected(order, "sold out").await;
    orders.until_status(&buyer, order, "rejected").await;
    let bearer = bearer(&buyer);
    let mut told = Vec::new();
    for version in ["v1", "v2"] {
        let path = format!("/{version}/orders/{order}/events");
        let events = orders.stream(&path, &[("authorization", &bearer)]).await;
        assert_eq!(events.status(), 200);
        told.push(events.rest().await);
    }
    let [v1, v2] = &told[..] else { unreachable!() };
    assert_eq!(v1.len(), 2);
    assert_eq!(v1[0], v2[0], "what has no reason is the same");
    assert_eq!((&v1[1].id, &v1[1].event), (&v2[1].id, &v2[1].event));
    assert_eq!(v1[1].data["reason"], "sold out");
    let mut expected = v1[1].data.clone();
    expected["reason"] = json!({"code": "stock_rejected", "text": "sold out"});
    assert_eq!(v2[1].data, expected);
    // A reader that was brought up to date goes on where it was.
    let path = format!("/v2/orders/{order}/events");
    let headers = [
        ("authorization", bearer.as_str()),
        ("last-event-id", &v1[0].id),
    ];
    let rest = orders.stream(&path, &headers).await.rest().await;
    assert_eq!(rest, v2[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_user_are_the_same_list() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    for _ in 0..2 {
        orders.place(&buyer, lamp, 1).await;
    }
    let path = format!("/v2/users/{}/orders?page_size=1", buyer.id);
    let own = orders.get(&buyer, "/v2/orders?page_size=1").await.json();
    let page = orders.get(&buyer, &path).await;
    assert_eq!((page.status, page.json()), (200, own));
    orders.get(&customer(), &path).await.assert_problem(404);
}
