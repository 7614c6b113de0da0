//! A purchase while Kafka is away is shown with its wait in the outbox, as long as that was.

use std::time::{Duration, Instant};

use scenarios::compose::Compose;
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, Shop, wait};
use serde_json::{Value, json};

use super::assert_order;
use super::watcher::{PATIENCE, Watcher, buy};
use crate::database;

/// How long the event has waited when Kafka is given back.
const WAIT: Duration = Duration::from_secs(3);
/// The same where Kafka is frozen: longer than the relay waits for one publication, so that one of them fails.
const WAIT_FROZEN: Duration = Duration::from_secs(12);
/// How much later than a consumer the relay may learn that the broker has its message, on a busy machine.
const LAG: Duration = Duration::from_secs(10);
/// What the clock of an event and the clock of this test may differ by: an event's time is cut to microseconds.
const CLOCKS: Duration = Duration::from_millis(10);
/// How long the oldest event of an outbox has waited, in milliseconds.
const OLDEST_MS: &str = "SELECT coalesce(max(extract(epoch FROM now() - created_at)) * 1000, 0)::bigint \
     FROM outbox WHERE sent_at IS NULL";

pub(crate) fn on_embedded(marketplace: &mut Embedded) {
    let switches = Shop::new(&marketplace.endpoint("switches"));
    let set = |on: bool| {
        let pressed = switches.post("/switches/kafka", None, &json!({ "on": on }));
        let _ = pressed.expect(200);
    };
    is_shown_as_a_wait(marketplace, WAIT, &set);
}

pub(crate) fn on_compose(compose: &mut Compose) {
    let compose: &Compose = compose;
    let set = |on: bool| {
        compose.run(&[if on { "unpause" } else { "pause" }, "kafka"]);
    };
    is_shown_as_a_wait(compose, WAIT_FROZEN, &set);
    compose.until_healthy();
}

/// `set_kafka` takes Kafka away (`false`) and gives it back (`true`).
fn is_shown_as_a_wait(marketplace: &dyn Marketplace, waits: Duration, set_kafka: &dyn Fn(bool)) {
    let shop = marketplace.shop();
    let watcher = Watcher::of(marketplace);
    watcher.followed();
    let product = shop.product();
    let customer = shop.customer();
    let orders = marketplace.database("orders");
    // What was told before is not what waits.
    wait::until("an empty outbox", || {
        (database::number(&orders, OLDEST_MS) == 0).then_some(())
    });

    set_kafka(false);
    let asked = Instant::now();
    let (trace_id, _) = buy(&shop, &customer.token, &product, &[]);
    let accepted = Instant::now();
    wait::until("the event to have waited", || {
        let waited = u64::try_from(database::number(&orders, OLDEST_MS)).ok()?;
        (Duration::from_millis(waited) >= waits).then_some(())
    });
    // A wait is seen while it lasts.
    wait::until("the wait to be shown", || {
        let trace = watcher.ask(&format!("traces/{trace_id}")).json;
        first(trace["hops"].as_array()?, is_wait)?["ended_at"]
            .is_null()
            .then_some(())
    });
    let given_back = Instant::now();
    set_kafka(true);

    let trace = mailed(&watcher, &trace_id);
    let seen = Instant::now();
    assert_shown(&trace, given_back - accepted, seen - asked);
}

/// The wait is at least and at most so long, and over once the broker has the message.
fn assert_shown(trace: &Value, least: Duration, most: Duration) {
    let hops = trace["hops"].as_array().expect("hops");
    assert_order(hops);
    let wait = first(hops, is_wait).expect("a wait");
    assert_eq!(wait["outcome"], "ok", "{trace:#}");
    let length = Duration::from_micros(number(wait, "duration_us"));
    assert!(
        length + CLOCKS >= least && length <= most + CLOCKS,
        "{length:?} is not within {least:?} and {most:?}: {trace:#}"
    );
    // Whoever reads it can begin then, and not much earlier.
    let handled = first(hops, |hop| {
        hop["service"] == "products" && hop["side"] == "consumer"
    });
    let handled = Duration::from_micros(number(handled.expect("a consumer"), "started_at"));
    let ended = Duration::from_micros(number(wait, "ended_at"));
    assert!(ended <= handled + LAG, "{trace:#}");
}

/// The wait of an event of the order in the outbox of orders.
fn is_wait(hop: &Value) -> bool {
    hop["service"] == "orders" && hop["kind"] == "outbox"
}

/// The earliest of these hops.
fn first(hops: &[Value], is_it: impl Fn(&Value) -> bool) -> Option<&Value> {
    let of = hops.iter().filter(|hop| is_it(hop));
    of.min_by_key(|hop| hop["started_at"].as_u64())
}

fn number(hop: &Value, member: &str) -> u64 {
    let number = hop[member].as_u64();
    number.unwrap_or_else(|| panic!("no {member} in {hop}"))
}

/// The trace, once its mail is sent and nothing of it is under way.
fn mailed(watcher: &Watcher, trace_id: &str) -> Value {
    wait::until_within(2 * PATIENCE, "the mail of a purchase", || {
        let trace = watcher.ask(&format!("traces/{trace_id}")).json;
        let hops = trace["hops"].as_array()?;
        let is_sent = hops.iter().any(|hop| hop["kind"] == "mail");
        let is_over = hops.iter().all(|hop| hop["ended_at"].is_u64());
        (is_sent && is_over).then(|| trace.clone())
    })
}
