//! The log tells the story of a purchase: a line at each of its steps, with the order and the trace.

use std::time::Duration;

use scenarios::{Marketplace, wait};
use serde_json::Value;

use crate::journey::buy;

/// Who says what. The relay may be faster than the request that woke it, so their order is not asked for.
const STORY: [(&str, &str); 6] = [
    ("notifications", "mail requested"),
    ("notifications", "mail sent"),
    ("orders", "order accepted"),
    ("orders", "order confirmed"),
    ("orders", "order published"),
    ("products", "stock reserved"),
];
/// Orders at once: their events are handled together.
const ORDERS: usize = 8;
/// From an order to the last line about it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each step of each order is one line.
pub(crate) fn is_told_by_the_log(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let product = shop.product();
    let customer = shop.customer();
    let orders: Vec<_> = std::thread::scope(|scope| {
        let buying =
            (0..ORDERS).map(|_| scope.spawn(|| buy(&shop, &customer.token, &product, &[])));
        let buying: Vec<_> = buying.collect();
        let orders = buying
            .into_iter()
            .map(|order| order.join().expect("an order"));
        orders.collect()
    });
    for (trace_id, order_id) in orders {
        let what = format!("the {} lines of {order_id} in the log", STORY.len());
        // The mail is not always the last of them: each line is written by a task of its own.
        let mut lines = wait::until_within(PATIENCE, &what, || {
            let told = told(marketplace, &order_id);
            let is_sent = told.iter().any(|line| line["message"] == "mail sent");
            (is_sent && told.len() >= STORY.len()).then_some(told)
        });
        lines.sort_by_key(|line| (text(line, "service"), text(line, "message")));
        let story: Vec<_> = lines
            .iter()
            .map(|line| (text(line, "service"), text(line, "message")))
            .collect();
        let wanted = STORY.map(|(service, message)| (service.to_owned(), message.to_owned()));
        assert_eq!(story, wanted, "{lines:#?}");
        for line in &lines {
            assert_eq!(line["trace_id"], trace_id.as_str(), "{line}");
            assert_eq!(line["level"], "INFO", "{line}");
        }
    }
}

/// The lines that name an order. Containers have something of their own in front of each.
pub(crate) fn told(marketplace: &dyn Marketplace, order_id: &str) -> Vec<Value> {
    let log = marketplace.log();
    let lines = log.lines().filter_map(|line| line.get(line.find('{')?..));
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["order_id"] == order_id).collect()
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or("?").to_owned()
}
