//! One trace follows a purchase through HTTP, gRPC, Kafka and the queue.

use scenarios::shop::one_line;
use scenarios::{Marketplace, wait};

/// Requests are logged one by one only when they are asked for: see the list in lists.rs.
pub(crate) fn follows_a_purchase(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let tap = marketplace.tap(&["order-events", "stock-events"]);
    let product = shop.product();
    let customer = shop.customer();
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let body = one_line(&product, 1);
    let answer = shop.try_post(
        "/api/orders",
        Some(&customer.token),
        &[("traceparent", &parent)],
        &body,
    );
    let id = answer.expect("an answer").expect(201).id();
    assert_eq!(shop.settled(&customer, &id)["status"], "confirmed");

    for record in tap.of_key(&id, 3) {
        assert!(
            record.header("ce_traceparent").contains(&trace),
            "{record:?}"
        );
        assert!(record.header("traceparent").contains(&trace), "{record:?}");
    }
    // The log is what an operator greps: a line of each service that the purchase went through.
    for service in ["gateway", "orders", "products", "notifications"] {
        wait::until(&format!("a log line of {service} with the trace"), || {
            marketplace
                .log()
                .lines()
                .any(|line| line.contains(&trace) && line.contains(service))
                .then_some(())
        });
    }

    let problem = shop.call(
        "GET",
        "/api/orders/nonsense",
        &[("traceparent", &parent)],
        None,
    );
    assert_eq!(problem.expect("an answer").json["trace_id"], trace.as_str());
}
