//! A stream of orders while something breaks, and the books afterwards: nothing lost, nothing twice,
//! nothing out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use scenarios::mail::Mail;
use scenarios::shop::one_line;
use scenarios::tap::Record;
use scenarios::{Answer, Customer, Marketplace, Shop, wait};

use crate::database::mails_sent;
use crate::stage;

/// Callers that order at the same time.
const CALLERS: usize = 4;
/// A calm stream: a pause of each caller between two orders. For what lasts long, so that the books stay thin.
pub(crate) const PACE: Duration = Duration::from_millis(250);
/// How often to look at long lists.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the marketplace may take to catch up after the worst is over.
const SETTLE_PATIENCE: Duration = Duration::from_secs(180);

/// What may come instead of a 201 while something is broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusals {
    /// A 503 problem document that says when to try again.
    unavailable: bool,
    /// No answer: the connection breaks or is refused.
    broken: bool,
}

impl Refusals {
    /// Nothing: every order is accepted.
    pub(crate) const NONE: Self = Self::of(false, false);
    pub(crate) const UNAVAILABLE: Self = Self::of(true, false);
    pub(crate) const BROKEN: Self = Self::of(false, true);
    pub(crate) const BOTH: Self = Self::of(true, true);

    const fn of(unavailable: bool, broken: bool) -> Self {
        Self {
            unavailable,
            broken,
        }
    }
}

/// Everything that was ordered by one customer.
pub(crate) struct Ledger {
    customer: Customer,
    /// Products and what there was of each at the beginning.
    goods: Vec<(String, i64)>,
    accepted: Mutex<Vec<String>>,
    seen: Vec<Record>,
    pace: Duration,
    /// Orders carry an `Idempotency-Key`.
    keyed: bool,
    /// Some order may have been taken whose 201 nobody saw.
    cut_off: bool,
    /// Callers also read what they may, which must be answered whatever happens.
    reading: bool,
}

impl Ledger {
    pub(crate) fn open(marketplace: &dyn Marketplace) -> Self {
        let shop = marketplace.shop();
        Self {
            customer: shop.customer(),
            goods: stage::goods(&shop),
            accepted: Mutex::default(),
            seen: Vec::new(),
            pace: Duration::ZERO,
            keyed: false,
            cut_off: false,
            reading: false,
        }
    }

    /// With a pause of each caller between two orders.
    pub(crate) fn paced(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// With reads in between; none may fail.
    pub(crate) fn reading(self) -> Self {
        Self {
            reading: true,
            ..self
        }
    }

    /// From now on each order carries an `Idempotency-Key`, so that everybody on its way may repeat it.
    pub(crate) fn keyed(self) -> Self {
        Self {
            keyed: true,
            ..self
        }
    }

    /// How many orders were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.lock().len()
    }

    /// Orders without a pause while `meanwhile` does its worst, which begins when orders flow.
    pub(crate) fn orders_while<M: Marketplace + ?Sized>(
        &mut self,
        marketplace: &mut M,
        refusals: Refusals,
        meanwhile: impl FnOnce(&mut M, &Self),
    ) {
        let shop = marketplace.shop();
        // Tokens are short-lived.
        self.customer.token = shop.sign_in(&self.customer.email, &self.customer.password);
        self.cut_off |= refusals.unavailable || refusals.broken;
        let tap = marketplace.tap(&["order-events"]);
        let before = self.accepted();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (ledger, shop, over) = (&*self, &shop, &over);
                scope.spawn(move || ledger.order_until(over, caller, shop, refusals));
            }
            // However it ends: the callers must.
            let _over = SetWhenDropped(&over);
            wait::until("the first orders", || {
                (self.accepted() > before).then_some(())
            });
            meanwhile(marketplace, self);
        });
        self.seen.extend(tap.records());
    }

    /// One piece after the other.
    fn order_until(&self, over: &AtomicBool, caller: usize, shop: &Shop, refusals: Refusals) {
        let goods = self.goods.iter().cycle().skip(caller);
        for (product, _) in goods {
            if over.load(Ordering::SeqCst) {
                return;
            }
            let order = one_line(product, 1);
            std::thread::sleep(self.pace);
            let key = uuid::Uuid::new_v4().to_string();
            let key = [("idempotency-key", key.as_str())];
            let more = if self.keyed { &key[..] } else { &[] };
            match shop.try_post("/api/orders", Some(&self.customer.token), more, &order) {
                Ok(answer) if answer.status == 201 => {
                    self.accepted.lock().push(answer.id());
                    if self.reading {
                        self.read(shop, &answer.id());
                    }
                }
                Ok(answer) if refusals.unavailable && answer.status == 503 => {
                    assert_says_when(&answer.expect_problem(503));
                }
                Err(_) if refusals.broken => {}
                other => {
                    panic!("an order is accepted, or refused like this: {refusals:?}; {other:?}")
                }
            }
        }
    }

    /// One read of each service behind the gateway.
    fn read(&self, shop: &Shop, order: &str) {
        let order = format!("/api/orders/{order}");
        for path in [&order, "/api/products?page_size=1", "/api/users/me"] {
            let _ = shop.get(path, Some(&self.customer.token)).expect(200);
        }
    }

    /// Waits until all that was accepted is decided, and checks the books. `hint` is told when they are wrong.
    pub(crate) fn assert_balanced(mut self, marketplace: &dyn Marketplace, hint: &str) {
        let shop = marketplace.shop();
        self.customer.token = shop.sign_in(&self.customer.email, &self.customer.password);
        let tap = marketplace.tap(&["order-events"]);
        let accepted = std::mem::take(&mut *self.accepted.lock());
        let known: BTreeSet<_> = accepted.iter().cloned().collect();
        assert_eq!(known.len(), accepted.len(), "no order was accepted twice");
        // Orders whose 201 was cut off count too: the customer's list has all of them.
        let what = "all orders to be decided";
        let all = wait::until_every(LOOK_EVERY, SETTLE_PATIENCE, what, || {
            let all = all_orders(&shop, &self.customer);
            all.iter().all(|o| o["status"] != "pending").then_some(all)
        });
        let found: BTreeSet<_> = all.iter().map(|o| text(&o["id"])).collect();
        assert!(
            known.is_subset(&found),
            "accepted orders are missing, {hint}"
        );
        // Whoever repeats an order on its way must not make two of it.
        let unknown: Vec<_> = found.difference(&known).collect();
        assert!(
            self.cut_off || unknown.is_empty(),
            "orders that nobody was told of, {hint}: {unknown:?}"
        );
        self.assert_stock(&shop, &all, hint);
        assert_mails(marketplace, &self.customer, &found, hint);
        let what = "the events of all orders";
        let complete = wait::until_every(LOOK_EVERY, SETTLE_PATIENCE, what, || {
            // Of these orders only: a scenario before may have dropped an event of another one on purpose.
            let seen = self.seen.iter().cloned().chain(tap.records());
            let records: Vec<_> = seen.filter(|r| found.contains(&r.key)).collect();
            let last: BTreeSet<_> = records
                .iter()
                .filter(|r| r.sequence() > 1)
                .map(|r| r.key.clone())
                .collect();
            found.is_subset(&last).then_some(records)
        });
        assert_in_order(&complete, hint);
    }

    fn assert_stock(&self, shop: &Shop, all: &[serde_json::Value], hint: &str) {
        let mut sold = BTreeMap::<String, i64>::new();
        for order in all.iter().filter(|o| o["status"] == "confirmed") {
            for item in order["items"].as_array().expect("items") {
                *sold.entry(text(&item["product_id"])).or_default() +=
                    item["quantity"].as_i64().expect("a quantity");
            }
        }
        assert!(!sold.is_empty(), "nothing was sold, {hint}");
        for (product, before) in &self.goods {
            let expected = before - sold.get(product).copied().unwrap_or_default();
            assert_eq!(
                shop.available(product),
                expected,
                "stock of {product}, {hint}"
            );
        }
    }
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A refusal must say when to come back.
fn assert_says_when(refusal: &Answer) {
    assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a string").to_owned()
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

/// One mail for each order. It may be there again only under the same `Message-ID`, and only where mail goes
/// through a mail server: a worker can die between its yes and the record of it.
fn assert_mails(
    marketplace: &dyn Marketplace,
    customer: &Customer,
    orders: &BTreeSet<String>,
    hint: &str,
) {
    // Not by asking the mail catcher all the time: it has enough to do.
    let log = marketplace.database("notifications");
    let what = "the mails of all orders to be sent";
    wait::until_every(LOOK_EVERY, SETTLE_PATIENCE, what, || {
        (mails_sent(&log, Some(&customer.id))? >= orders.len()).then_some(())
    });
    let what = "the mails of all orders to be there";
    let by_order = wait::until_every(LOOK_EVERY, SETTLE_PATIENCE, what, || {
        let mut by_order = BTreeMap::<&str, Vec<Mail>>::new();
        for mail in marketplace.mails_to(&customer.email)? {
            // The subject names the order.
            let mut words = mail.subject.split(' ');
            if let Some(order) = words.find_map(|word| orders.get(word)) {
                by_order.entry(order).or_default().push(mail);
            }
        }
        (by_order.len() == orders.len()).then_some(by_order)
    });
    for (order, mails) in by_order {
        let ids: BTreeSet<_> = mails.iter().map(|mail| &mail.message_id).collect();
        assert_eq!(ids.len(), 1, "mails of {order}, {hint}: {mails:#?}");
        if marketplace.is_one_process() {
            assert_eq!(mails.len(), 1, "one mail of {order}, {hint}");
        }
    }
}

/// Delivery is at least once, so an event may be seen again; but where an event of an order is seen
/// for the first time, all earlier ones must have been seen.
pub(crate) fn assert_in_order(records: &[Record], hint: &str) {
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
            "overtaken or skipped, {hint}: {record:?}"
        );
        *newest = record.sequence();
    }
    assert!(!newest.is_empty(), "no event was seen");
}
