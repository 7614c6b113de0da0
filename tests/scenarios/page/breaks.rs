//! *Break it*: each switch, edge, load and message is pressed, says what it hit, and is mended.

use std::time::Duration;

use scenarios::browser::Browser;
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, Shop, wait};
use serde_json::json;

use super::{DESK, assert_calm, sees_all, whole};
use crate::trials::asked_for;

/// What `agora up` can take away, with what is hit by itself: pools and consumers that look for what is not there.
const SWITCHES: [(&str, bool); 11] = [
    ("kafka", true),
    ("queue", true),
    ("database-users", true),
    ("database-orders", true),
    ("database-products", true),
    ("database-notifications", true),
    ("mail", false),
    ("users", false),
    ("orders", false),
    ("products", false),
    ("notifications", false),
];

/// Something, once it is more than nothing. What is not known is no number.
fn has_hit(browser: &Browser, css: &str) -> Option<()> {
    let hit = browser.text(css);
    let count: u64 = hit.strip_prefix("hit ")?.parse().ok()?;
    (count > 0).then_some(())
}

/// Each switch takes something away, says what it hit, and is in the banner; one gives it back, or all are mended at once.
pub(crate) fn switches_take_away_and_give_back(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/break']");
    let broken = |name: &str| format!("#switch-{name}.broken");
    for (name, is_hit) in SWITCHES {
        browser.click(&format!("#switch-{name} button"));
        browser.until_count(&broken(name), 1);
        if is_hit {
            wait::until(&format!("{name} hits something"), || {
                has_hit(&browser, &format!("#switch-{name} strong"))
            });
        }
    }
    browser.until_text(
        "agora-banner",
        &format!("Broken on purpose: {}", SWITCHES.len()),
    );
    browser.until_text("agora-banner", "Kafka: away (hit ");
    browser.click("#switch-kafka button");
    browser.until_count(&broken("kafka"), 0);
    browser.until_text(
        "agora-banner",
        &format!("Broken on purpose: {}", SWITCHES.len() - 1),
    );
    browser.click("agora-banner button");
    browser.until_count("agora-switch.broken", 0);
    browser.until_count("agora-banner .banner[hidden]", 1);
    sees_all(&browser);
    assert_calm(&browser);
    whole(market);
}

/// The name of an edge on the page, and what causes a call on it.
type Edge = (&'static str, fn(&Customer));

/// The calls that customers cause, each with what causes it. What services ask each other for by themselves, such as keys, is
/// not among them.
const EDGES: [Edge; 7] = [
    ("gateway → users", |customer| {
        customer.get("/api/users/me")
    }),
    ("gateway → orders", |customer| customer.get("/api/orders")),
    ("gateway → products", |customer| {
        customer.get("/api/products")
    }),
    ("gateway → products-grpc", Customer::asks_the_graph),
    ("users → orders", Customer::looks_at_orders),
    ("orders → products", Customer::orders),
    ("notifications → mail", Customer::orders),
];
/// The buttons of an edge: what they do, and which they are. What fails at once comes first, so that a success lies between
/// the failures and no breaker is in the way.
const KINDS: [(&str, u8); 3] = [("fail", 3), ("delay", 2), ("hang", 4)];
/// What is done to the edge with this number: all of it where `AGORA_LONG=1` asks for it, else one kind, of which the next edge
/// has the next. The page and the services treat all edges alike, so that all edges and all kinds are enough.
fn kinds_for(edge: usize) -> Vec<(&'static str, u8)> {
    if asked_for("AGORA_LONG") {
        KINDS.to_vec()
    } else {
        vec![KINDS[edge % KINDS.len()]]
    }
}

/// Between two tries to hit something.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// How long it may take until something is hit: a breaker may have to close first.
const HIT_PATIENCE: Duration = Duration::from_secs(120);

/// Somebody who calls, whatever the answer is.
struct Customer {
    shop: Shop,
    it: scenarios::Customer,
    product: String,
}

impl Customer {
    fn of(market: &Embedded) -> Self {
        let shop = market.shop();
        let product = shop.product();
        let it = shop.customer();
        Self { shop, it, product }
    }

    fn get(&self, path: &str) {
        let bearer = format!("Bearer {}", self.it.token);
        let _ = self
            .shop
            .call("GET", path, &[("authorization", &bearer)], None);
    }

    fn asks_the_graph(&self) {
        let query = format!("{{ product(id: \"{}\") {{ name }} }}", self.product);
        let _ = self
            .shop
            .try_post("/graphql", None, &[], &json!({ "query": query }));
    }

    fn looks_at_orders(&self) {
        self.get(&format!("/api/users/{}/orders", self.it.id));
    }

    fn orders(&self) {
        let body = scenarios::shop::one_line(&self.product, 1);
        let token = Some(self.it.token.as_str());
        let _ = self.shop.try_post("/api/orders", token, &[], &body);
    }
}

/// Each edge fails, is delayed or hangs; each time it says what that hit, and is mended.
pub(crate) fn edges_are_broken_and_mended(market: &mut Embedded) {
    let customer = Customer::of(market);
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/break']");
    for (number, (edge, cause)) in EDGES.into_iter().enumerate() {
        let button = |n: u8| format!("[aria-label='{edge}'] button:nth-of-type({n})");
        for (kind, n) in kinds_for(number) {
            browser.click(&button(n));
            browser.until_count("agora-edge.broken", 1);
            browser.until_text("agora-banner", edge);
            let what = format!("{edge}, {kind}, hits something");
            wait::until_every(TRY_EVERY, HIT_PATIENCE, &what, || {
                cause(&customer);
                has_hit(&browser, "agora-edge.broken strong")
            });
            // "works" is the first of them.
            browser.click(&button(1));
            browser.until_count("agora-edge.broken", 0);
        }
    }
    browser.until_count("agora-banner .banner[hidden]", 1);
    sees_all(&browser);
    assert_calm(&browser);
    whole(market);
}

/// A load sells, and a message is parked, until they are taken back: by their own button, and with all that is mended.
pub(crate) fn loads_and_messages_come_and_go(market: &mut Embedded) {
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/break']");
    for (name, title) in [
        ("load-20", "20 orders a second"),
        ("poison", "products cannot handle"),
    ] {
        browser.click(&format!("#switch-{name} button"));
        browser.until_count(&format!("#switch-{name}.broken"), 1);
        browser.until_text("agora-banner", title);
        wait::until(&format!("{name} hits something"), || {
            has_hit(&browser, &format!("#switch-{name} strong"))
        });
    }
    browser.click("#switch-load-20 button");
    browser.until_count("#switch-load-20.broken", 0);
    browser.click("agora-banner button");
    browser.until_count("#switch-poison.broken", 0);
    browser.until_count("agora-banner .banner[hidden]", 1);
    sees_all(&browser);
    assert_calm(&browser);
    whole(market);
}

/// Where services take no faults, what would set one is disabled, and says why.
pub(crate) fn what_takes_no_faults_says_so(_: &mut Embedded) {
    let market = Embedded::start(&[("ALLOW_FAULTS", "false")]);
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/break']");
    browser.until_text("agora-edge", "without ALLOW_FAULTS");
    browser.until_count("agora-edge button:enabled", 0);
    // Switches are none of theirs.
    browser.until_some("#switch-kafka button:enabled");
    browser.click("#views a[href='#/tour']");
    browser.until_text("#stop-hang", "without ALLOW_FAULTS");
    browser.until_count("#stop-hang button:enabled", 0);
    browser.until_count("#stop-kafka button:enabled", 1);
    assert_calm(&browser);
}
