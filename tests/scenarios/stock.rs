//! Stock adds up, whatever happens to the orders.

use scenarios::wait;
use serde_json::json;

use crate::stage::Open;

pub(crate) fn more_than_in_stock_is_rejected(open: &Open<'_>) {
    let shop = open.shop();
    let (product, before) = open.product(1);
    let customer = shop.customer();
    let id = shop.order(&customer, &product, before + 1).expect(201).id();
    let order = shop.settled(&customer, &id);
    assert_eq!(order["status"], "rejected");
    assert!(!order["reason"].as_str().expect("a reason").is_empty());
    assert_eq!(shop.available(&product), before, "nothing is reserved");
    let cancel = shop.post(
        &format!("/api/orders/{id}/cancel"),
        Some(&customer.token),
        &json!({}),
    );
    let _ = cancel.expect_problem(409);
}

pub(crate) fn all_lines_or_none(open: &Open<'_>) {
    let shop = open.shop();
    let (plenty, before) = open.product(10);
    let (scarce, left) = open.product(1);
    let customer = shop.customer();
    let body = json!({"items": [
        {"product_id": plenty, "quantity": 1},
        {"product_id": scarce, "quantity": left + 1},
    ]});
    let id = shop
        .post("/api/orders", Some(&customer.token), &body)
        .expect(201)
        .id();
    assert_eq!(shop.settled(&customer, &id)["status"], "rejected");
    assert_eq!(
        (shop.available(&plenty), shop.available(&scarce)),
        (before, left)
    );
}

pub(crate) fn cancel_brings_it_back(open: &Open<'_>) {
    let shop = open.shop();
    let (product, before) = open.product(10);
    let customer = shop.customer();
    let id = shop.order(&customer, &product, 3).expect(201).id();
    assert_eq!(shop.settled(&customer, &id)["status"], "confirmed");
    assert_eq!(shop.available(&product), before - 3);
    let path = format!("/api/orders/{id}/cancel");
    let cancelled = shop
        .post(&path, Some(&customer.token), &json!({}))
        .expect(200);
    assert_eq!(cancelled.json["status"], "cancelled");
    wait::until("the stock to be back", || {
        (shop.available(&product) == before).then_some(())
    });
    let _ = shop
        .post(&path, Some(&customer.token), &json!({}))
        .expect_problem(409);

    // Cancelled at once: whether the reservation was made before or not, it does not stay.
    let id = shop.order(&customer, &product, 4).expect(201).id();
    let path = format!("/api/orders/{id}/cancel");
    let _ = shop
        .post(&path, Some(&customer.token), &json!({}))
        .expect(200);
    let fence = shop.order(&customer, &product, 1).expect(201).id();
    assert_eq!(shop.settled(&customer, &fence)["status"], "confirmed");
    wait::until("only the fence to be gone", || {
        (shop.available(&product) == before - 1).then_some(())
    });
    assert_eq!(shop.settled(&customer, &id)["status"], "cancelled");
}

pub(crate) fn last_piece_is_sold_once(open: &Open<'_>) {
    let shop = open.shop();
    let (product, before) = open.product(2);
    let (first, second) = (shop.customer(), shop.customer());
    if before > 1 {
        let id = shop.order(&first, &product, before - 1).expect(201).id();
        assert_eq!(shop.settled(&first, &id)["status"], "confirmed");
    }
    assert_eq!(shop.available(&product), 1);

    let statuses = std::thread::scope(|scope| {
        let race = [&first, &second].map(|customer| {
            let (shop, product) = (&shop, &product);
            scope.spawn(move || {
                let id = shop.order(customer, product, 1).expect(201).id();
                shop.settled(customer, &id)["status"]
                    .as_str()
                    .expect("a status")
                    .to_owned()
            })
        });
        let mut statuses = race.map(|runner| runner.join().expect("a runner"));
        statuses.sort();
        statuses
    });
    assert_eq!(statuses, ["confirmed", "rejected"]);
    assert_eq!(shop.available(&product), 0);
}
