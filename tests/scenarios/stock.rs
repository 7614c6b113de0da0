//! Stock adds up, whatever happens to the orders.

use std::collections::BTreeSet;

use scenarios::tap::Record;
use scenarios::wait;
use serde_json::json;

use crate::ledger::assert_in_order;
use crate::stage::Open;

/// Callers that order and cancel at the same time, and how often each does.
const CALLERS: usize = 8;
const ROUNDS: usize = 5;
/// What they order together, a piece each time.
const PIECES: i64 = (CALLERS * ROUNDS) as i64;

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
    // As often as it comes.
    let again = shop
        .post(&path, Some(&customer.token), &json!({}))
        .expect(200);
    assert_eq!(again.json, cancelled.json);

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

/// Placed and cancelled within milliseconds, many times at once: the two events of an order wait in the outbox
/// together, and no answer of another service comes between them.
pub(crate) fn cancelled_at_once_is_told_in_order(open: &Open<'_>) {
    let shop = open.shop();
    // Enough for all of them: what is given back comes back later.
    let (product, _) = open.product(PIECES);
    let customer = shop.customer();
    let tap = open.marketplace.tap(&["order-events"]);
    let place_and_cancel = || {
        let id = shop.order(&customer, &product, 1).expect(201).id();
        let path = format!("/api/orders/{id}/cancel");
        let _ = shop
            .post(&path, Some(&customer.token), &json!({}))
            .expect(200);
        id
    };
    let ids: BTreeSet<_> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| scope.spawn(|| [(); ROUNDS].map(|()| place_and_cancel())))
            .collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().expect("a caller"))
            .collect()
    });
    let is_last = |r: &Record| r.header("ce_type") == "agora.order.cancelled.v1";
    let events = wait::until("every cancellation to be told", || {
        let mut events = tap.records();
        events.retain(|r| ids.contains(&r.key));
        let cancelled: BTreeSet<_> = events
            .iter()
            .filter(|r| is_last(r))
            .map(|r| &r.key)
            .collect();
        (cancelled.len() == ids.len()).then_some(events)
    });
    assert_in_order(&events, "cancelled at once");
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
