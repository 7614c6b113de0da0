//! `kill -9` at any moment: no accepted order is lost, no stock is sold twice, no event overtakes another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use scenarios::embedded::Embedded;
use scenarios::shop::one_line;
use scenarios::tap::Record;
use scenarios::{Customer, Shop, mail, wait};

/// How often the process is killed.
const ROUNDS: usize = 20;
/// Callers that order at the same time.
const CALLERS: usize = 4;
/// The kill comes at a random moment of this many milliseconds after the first order of a round.
const KILL_AFTER_MS: std::ops::Range<u64> = 20..900;

pub(crate) fn kill_9_loses_and_doubles_nothing() {
    // The seed is in the message of a failure, so that a bad run can be had again.
    let seed = rand::random::<u64>();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut marketplace = Embedded::start(&[]);
    let shop = marketplace.shop();
    let customer = shop.customer();
    let goods: Vec<_> = shop
        .catalogue()
        .iter()
        .map(|p| {
            (
                p["id"].as_str().expect("an id").to_owned(),
                p["available"].as_i64().expect("pieces"),
            )
        })
        .collect();
    let accepted = Mutex::new(Vec::new());
    let mut seen = Vec::new();

    for _ in 0..ROUNDS {
        let shop = marketplace.shop();
        let customer = Customer {
            token: shop.sign_in(&customer.email, &customer.password),
            ..customer.clone()
        };
        let tap = marketplace.tap(&["order-events"]);
        let killed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (shop, customer, goods) = (&shop, &customer, &goods);
                let (accepted, killed) = (&accepted, &killed);
                scope.spawn(move || {
                    order_until(killed, shop, customer, &goods[caller..], accepted);
                });
            }
            let before = accepted.lock().expect("the orders").len();
            wait::until("the first order of the round", || {
                (accepted.lock().expect("the orders").len() > before).then_some(())
            });
            let moment = Instant::now() + Duration::from_millis(random.random_range(KILL_AFTER_MS));
            // The random moment is the point of this test: there is no condition to wait for.
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            marketplace.kill();
            killed.store(true, Ordering::SeqCst);
        });
        seen.extend(tap.records());
        drop(tap);
        marketplace.restart();
    }

    let tap = marketplace.tap(&["order-events"]);
    let shop = marketplace.shop();
    let customer = Customer {
        token: shop.sign_in(&customer.email, &customer.password),
        ..customer
    };
    let accepted = accepted.into_inner().expect("the orders");
    assert!(accepted.len() >= ROUNDS, "every round got an order in");
    let known: BTreeSet<_> = accepted.iter().cloned().collect();
    assert_eq!(known.len(), accepted.len(), "no order was accepted twice");
    for id in &accepted {
        let status = shop.settled(&customer, id)["status"].clone();
        assert!(
            status == "confirmed" || status == "rejected",
            "{id} is {status}, seed {seed}"
        );
    }

    // Orders whose 201 was cut off by the kill count too: the customer's list has all of them.
    let all = all_orders(&shop, &customer);
    let mut sold = BTreeMap::<String, i64>::new();
    let mut found = BTreeSet::new();
    for order in &all {
        let id = order["id"].as_str().expect("an id");
        found.insert(id.to_owned());
        if shop.settled(&customer, id)["status"] == "confirmed" {
            for item in order["items"].as_array().expect("items") {
                let product = item["product_id"].as_str().expect("a product").to_owned();
                *sold.entry(product).or_default() += item["quantity"].as_i64().expect("a quantity");
            }
        }
    }
    assert!(
        known.is_subset(&found),
        "accepted orders are missing, seed {seed}"
    );
    for (product, before) in &goods {
        let expected = before - sold.get(product).copied().unwrap_or_default();
        assert_eq!(
            shop.available(product),
            expected,
            "stock of {product}, seed {seed}"
        );
    }
    for id in &found {
        let mails = wait::until(&format!("the mail of {id}"), || {
            let mails = mail::naming(&marketplace.mail(), id);
            (!mails.is_empty()).then_some(mails)
        });
        assert_eq!(mails.len(), 1, "one mail of {id}, seed {seed}");
    }
    seen.extend(tap.records());
    assert_in_order(&seen, seed);
}

/// Orders one piece after the other until the process has been killed.
fn order_until(
    killed: &AtomicBool,
    shop: &Shop,
    customer: &Customer,
    goods: &[(String, i64)],
    accepted: &Mutex<Vec<String>>,
) {
    for (product, _) in goods.iter().cycle() {
        if killed.load(Ordering::SeqCst) {
            return;
        }
        match shop.try_post(
            "/api/orders",
            Some(&customer.token),
            &[],
            &one_line(product, 1),
        ) {
            Ok(answer) if answer.status == 201 => {
                accepted.lock().expect("the orders").push(answer.id());
            }
            Ok(answer) => panic!("an order is accepted or the connection breaks: {answer:?}"),
            // The process is gone; the next look at `killed` ends the loop.
            Err(_) => {}
        }
    }
}

fn all_orders(shop: &Shop, customer: &Customer) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    let base = format!("/api/users/{}/orders?page_size=100", customer.id);
    let mut path = base.clone();
    loop {
        let page = shop.get(&path, Some(&customer.token)).expect(200).json;
        all.extend(page["orders"].as_array().expect("orders").iter().cloned());
        match page["next_page_token"].as_str() {
            Some(token) if !token.is_empty() => path = format!("{base}&page_token={token}"),
            _ => return all,
        }
    }
}

/// Delivery is at least once, so an event may be seen again; but where an event of an order is seen
/// for the first time, all earlier ones must have been seen.
fn assert_in_order(records: &[Record], seed: u64) {
    let mut newest = BTreeMap::<&str, u64>::new();
    let mut seen = BTreeSet::new();
    for record in records {
        if !seen.insert(record.header("ce_id")) {
            continue;
        }
        let newest = newest.entry(&record.key).or_default();
        assert_eq!(
            record.sequence(),
            *newest + 1,
            "overtaken or skipped, seed {seed}: {record:?}"
        );
        *newest = record.sequence();
    }
    assert!(!newest.is_empty(), "no event was seen");
}
