//! Two versions of the public API over one shop: what is done in one of them is seen in the other, each in its form; and in the
//! graph, which has what the newest has.

use scenarios::shop::{Answer, Customer, one_line};
use scenarios::{Marketplace, Shop, wait};
use serde_json::{Value, json};

use crate::purchase::mails_naming;
use crate::stage::Open;

pub(crate) fn show_one_shop(open: &Open<'_>) {
    let shop = open.shop();
    let (product, before) = open.product(10);
    let customer = shop.customer();
    let address = json!({"name": "Ada Lovelace", "street": "12 St James's Square", "postal_code": "SW1Y 4JH",
        "city": "London", "country": "GB"});
    let v2 = |path: &str| shop.get(&format!("/api/v2{path}"), Some(&customer.token));
    let price = v2(&format!("/products/{product}")).expect(200).json["price"].clone();

    let mut wish = one_line(&product, 2);
    wish["shipping_address"] = address.clone();
    let placed = shop.post("/api/v2/orders", Some(&customer.token), &wish);
    let placed = placed.expect(201);
    let new = placed.id();
    let location = format!("/api/v2/orders/{new}");
    assert_eq!(placed.header("location"), Some(location.as_str()));
    let old = shop.order(&customer, &product, 1).expect(201).id();
    let too_much = shop.order(&customer, &product, before + 1).expect(201).id();

    // A client of version 1 sees the order of version 2, and nothing that it does not know.
    let as_v1 = shop.settled(&customer, &new);
    assert_eq!(as_v1["status"], "confirmed");
    let amount = price["amount"].as_i64().expect("an amount");
    assert_eq!(as_v1["total_amount"], 2 * amount);
    assert_eq!(as_v1["currency"], price["currency"]);
    assert_eq!(as_v1.get("shipping_address"), None);

    // A client of version 2 sees both, the one of version 1 without an address.
    for (id, quantity, to) in [(&new, 2, Some(&address)), (&old, 1, None)] {
        let order = settled(&shop, &customer, id);
        assert_eq!(order["status"], "confirmed");
        let total = json!({"amount": quantity * amount, "currency": price["currency"]});
        assert_eq!(order["total"], total);
        assert_eq!(order["items"][0]["unit_price"], price);
        assert_eq!(order.get("shipping_address"), to);
    }
    let rejected = settled(&shop, &customer, &too_much);
    let text = &shop.settled(&customer, &too_much)["reason"];
    assert_eq!(
        rejected["reason"],
        json!({"code": "stock_rejected", "text": text})
    );

    // The graph has all that the newest version has.
    let [seen_new, seen_old, seen] =
        [&new, &old, &too_much].map(|id| in_the_graph(&shop, &customer, id));
    assert_eq!(seen_new["shippingAddress"], address);
    assert_eq!(seen_old["shippingAddress"], Value::Null);
    assert_eq!(seen_old["total"], price);
    assert_eq!(
        json!({"code": seen["reasonCode"], "text": seen["reason"]}),
        rejected["reason"]
    );

    let dashboard = v2(&format!("/dashboard/{}", customer.id)).expect(200).json;
    let orders = v2(&format!("/users/{}/orders", customer.id))
        .expect(200)
        .json;
    assert_eq!(dashboard["orders"], orders["orders"]);
    let ids: Vec<_> = ids(&orders["orders"]);
    assert_eq!(ids, [&too_much, &old, &new], "newest first");
    assert!(dashboard["recommended"][0]["price"]["amount"].is_i64());
    assert_eq!(deprecated(&v2("/users/me").expect(200)), None);
    let me = shop
        .get("/api/v1/users/me", Some(&customer.token))
        .expect(200);
    assert!(deprecated(&me).is_some());
}

/// Orders publishes both versions of an order's first event: see the list. Each service acts on one of the twins.
pub(crate) fn twins_take_effect_once(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let tap = marketplace.tap(&["order-events"]);
    let (customer, goods) = (shop.customer(), shop.catalogue());
    let in_stock = |product: &&Value| product["available"].as_i64() >= Some(3);
    let product = goods.iter().find(in_stock).expect("goods")["id"].as_str();
    let product = product.expect("an id");
    let before = shop.available(product);
    let id = shop.order(&customer, product, 2).expect(201).id();
    assert_eq!(shop.settled(&customer, &id)["status"], "confirmed");

    let records = tap.of_key(&id, 3);
    let types: Vec<_> = records.iter().map(|it| it.header("ce_type")).collect();
    let expected = ["placed.v1", "placed.v2", "confirmed.v1"];
    assert_eq!(types, expected.map(|it| format!("agora.order.{it}")));
    let (older, newer) = (&records[0], &records[1]);
    assert_ne!(newer.header("ce_id"), older.header("ce_id"));
    assert_eq!(newer.header("ce_logicalid"), older.header("ce_id"));

    // A later order of the same customer: when its mail is there, a second one for the first order would be there, too.
    let later = shop.order(&customer, product, 1).expect(201).id();
    assert_eq!(shop.settled(&customer, &later)["status"], "confirmed");
    mails_naming(marketplace, &later);
    assert_eq!(mails_naming(marketplace, &id).len(), 1, "exactly one mail");
    assert_eq!(shop.available(product), before - 3, "each counts once");
}

fn ids(orders: &Value) -> Vec<&str> {
    let orders = orders.as_array().expect("orders");
    orders
        .iter()
        .filter_map(|order| order["id"].as_str())
        .collect()
}

fn deprecated(answer: &Answer) -> Option<&str> {
    answer.header("deprecation")
}

/// The order as GraphQL shows it.
fn in_the_graph(shop: &Shop, by: &Customer, id: &str) -> Value {
    let query = format!(
        "{{ order(id: \"{id}\") {{ total {{ amount currency }} reason reasonCode
            shippingAddress {{ name street postal_code: postalCode city country }} }} }}"
    );
    let answer = shop.post("/graphql", Some(&by.token), &json!({ "query": query }));
    answer.expect(200).json["data"]["order"].clone()
}

/// The order in version 2, once it is decided.
fn settled(shop: &Shop, by: &Customer, id: &str) -> Value {
    wait::until("the order is decided", || {
        let order = shop.get(&format!("/api/v2/orders/{id}"), Some(&by.token));
        let order = order.expect(200).json;
        (order["status"] != "pending").then_some(order)
    })
}
