//! The purchase itself: sign up → sign in → browse → order → stock reserved → confirmed → mail.

use std::time::Duration;

use scenarios::{Marketplace, wait};
use serde_json::json;

use crate::stage::Open;

/// How often to look for mails: to find them is work for the mail catcher.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) fn reaches_every_hop(open: &Open<'_>) {
    let shop = open.shop();
    let tap = open.marketplace.tap(&["order-events", "stock-events"]);
    let (product, before) = open.product(10);
    let price = shop
        .get(&format!("/api/products/{product}"), None)
        .expect(200)
        .json["price"]
        .clone();

    let customer = shop.customer();
    let answer = shop.order(&customer, &product, 2).expect(201);
    let id = answer.id();
    assert_eq!(
        answer.header("location"),
        Some(format!("/api/orders/{id}").as_str())
    );
    let order = &answer.json;
    assert_eq!(order["status"], "pending");
    assert_eq!(order["user_id"], customer.id.as_str());
    assert_eq!(
        order["items"],
        json!([{"product_id": product, "quantity": 2, "unit_price": price}])
    );
    assert_eq!(order["total_amount"], price.as_i64().expect("a price") * 2);
    for member in ["currency", "created_at", "updated_at"] {
        assert!(order[member].is_string(), "no {member} in {order}");
    }

    assert_eq!(shop.settled(&customer, &id)["status"], "confirmed");
    assert_eq!(shop.available(&product), before - 2);

    let records = tap.of_key(&id, 3);
    for record in &records {
        record.assert_cloud_event();
    }
    let history: Vec<_> = records
        .iter()
        .filter(|r| r.topic == "order-events")
        .map(|r| (r.header("ce_type"), r.sequence()))
        .collect();
    assert_eq!(
        history,
        [
            ("agora.order.placed.v1", 1),
            ("agora.order.confirmed.v1", 2)
        ]
    );
    let placed = records
        .iter()
        .find(|r| r.header("ce_type") == "agora.order.placed.v1");
    assert_eq!(
        placed.expect("order.placed").data,
        json!({
            "order_id": id, "user_id": customer.id, "items": order["items"],
            "total_amount": order["total_amount"], "currency": order["currency"],
        })
    );
    let reserved = records
        .iter()
        .find(|r| r.topic == "stock-events")
        .expect("an answer");
    assert_eq!(reserved.header("ce_type"), "agora.stock.reserved.v1");
    assert_eq!(
        reserved.header("ce_causationid"),
        placed.expect("order.placed").header("ce_id"),
        "the answer names the event that caused it"
    );

    let mails = mails_naming(open.marketplace, &id);
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].contains(&customer.email),
        "it goes to the customer: {}",
        mails[0]
    );

    // A later purchase of the same customer: when its mail is there, a second one for the first
    // order would have been there before.
    let later = shop.order(&customer, &product, 1).expect(201).id();
    mails_naming(open.marketplace, &later);
    assert_eq!(
        mails_naming(open.marketplace, &id).len(),
        1,
        "exactly one mail"
    );
}

/// Waits until there is one, at least.
pub(crate) fn mails_naming(marketplace: &dyn Marketplace, order: &str) -> Vec<String> {
    let what = format!("a mail that names {order}");
    wait::until_every(LOOK_EVERY, wait::PATIENCE, &what, || {
        let mails = marketplace.mails_naming(order)?;
        (!mails.is_empty()).then_some(mails)
    })
}

pub(crate) fn dashboard_shows_it(open: &Open<'_>) {
    let shop = open.shop();
    let (product, _) = open.product(10);
    let customer = shop.customer();
    let id = shop.order(&customer, &product, 1).expect(201).id();
    // A newer one of somebody else, which must not be shown.
    let _ = shop.order(&shop.customer(), &product, 1).expect(201);
    let path = format!("/api/dashboard/{}", customer.id);
    let dashboard = shop.get(&path, Some(&customer.token)).expect(200).json;
    assert_eq!(dashboard["user"]["email"], customer.email.as_str());
    assert_eq!(dashboard["orders"][0]["id"], id.as_str());
    assert!(
        !dashboard["recommended"]
            .as_array()
            .expect("goods")
            .is_empty()
    );
    assert_eq!(dashboard["partial"], false);
    assert_eq!(dashboard["errors"], json!([]));

    let listed = shop.get(
        &format!("/api/v1/users/{}/orders", customer.id),
        Some(&customer.token),
    );
    let listed = listed.expect(200).json;
    assert_eq!(listed["orders"][0]["id"], id.as_str());
    assert_eq!(listed["orders"].as_array().expect("orders").len(), 1);
}
