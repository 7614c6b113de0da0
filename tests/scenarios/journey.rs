//! What the observatory shows of a purchase: each hop of it once, in an order that causality allows; its wait while Kafka
//! is away; and no secret.

pub(crate) mod canary;
pub(crate) mod exported;
pub(crate) mod outage;
mod stream;
mod watcher;

use std::collections::HashMap;

use scenarios::Marketplace;
use serde_json::Value;

use watcher::told;

pub(crate) use watcher::{Watcher, buy};

/// The hops of ARCHITECTURE's walk, from the order to the mail: service, kind, side, name.
pub(crate) const WALK: [&str; 22] = [
    "gateway http server POST /api/orders",
    "gateway http client POST /v1/orders",
    "orders http server POST /v1/orders",
    "orders grpc client agora.products.v1.CatalogService/Quote",
    "products grpc server agora.products.v1.CatalogService/Quote",
    "orders db client place order",
    "orders outbox internal order-events",
    "orders kafka producer order-events publish",
    "products kafka consumer order-events process",
    "products db client reserve stock",
    "products outbox internal stock-events",
    "products kafka producer stock-events publish",
    "orders kafka consumer stock-events process",
    "orders db client decide order",
    "orders outbox internal order-events",
    "orders kafka producer order-events publish",
    "notifications kafka consumer order-events process",
    "notifications db client request mail",
    "notifications outbox internal email.jobs",
    "notifications queue producer email.jobs publish",
    "notifications queue consumer email.jobs process",
    "notifications mail client send",
];

pub(crate) fn shows_each_hop_once(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let watcher = Watcher::of(marketplace);
    watcher.followed();
    let product = shop.product();
    let customer = shop.customer();
    let (trace_id, order_id) = buy(&shop, &customer.token, &product, &[]);
    let trace = watcher.whole(&trace_id, WALK.len());
    let hops = trace["hops"].as_array().expect("hops");

    let mut shown: Vec<String> = hops.iter().map(told).collect();
    shown.sort();
    let mut walk = WALK.map(str::to_owned).to_vec();
    walk.sort();
    assert_eq!(shown, walk, "{trace:#}");
    assert_order(hops);
    assert_linked(hops);
    assert_eq!(hops[0]["from"], "client");
    assert!(hops.iter().all(|hop| hop["outcome"] == "ok"), "{trace:#}");
    assert_eq!(trace["dropped"], 0);

    // Found by what it is about, too.
    let found = watcher.get(&format!("traces?mentions={order_id}")).json;
    assert_eq!(found["traces"][0]["trace_id"], trace_id.as_str(), "{found}");
    assert_eq!(found["traces"][0]["hops"], WALK.len());
    // Who watches is no part of the picture.
    let all = watcher.get("traces?limit=200").text;
    assert!(!all.contains("observatory"), "{all}");
}

/// Whoever processes a message follows from its publication, over whichever broker it came.
fn assert_linked(hops: &[Value]) {
    for hop in hops {
        let name = hop["name"].as_str().expect("a name");
        let Some(destination) = name.strip_suffix(" process") else {
            continue;
        };
        let parent = hops.iter().find(|other| other["id"] == hop["parent"]);
        let parent = parent.unwrap_or_else(|| panic!("{hop} follows from nothing"));
        let published = format!("{destination} publish");
        assert_eq!(parent["name"], published.as_str(), "{hop}");
    }
}

/// Nothing stands, or begins, before what it follows from.
fn assert_order(hops: &[Value]) {
    let mut seen: HashMap<&str, u64> = HashMap::new();
    for hop in hops {
        let started = hop["started_at"].as_u64().expect("a start");
        if let Some(parent) = hop["parent"].as_str().filter(|_| !seen.is_empty()) {
            let of_parent = seen.get(parent);
            let of_parent = of_parent.unwrap_or_else(|| panic!("{hop} before its parent"));
            assert!(*of_parent <= started, "{hop}");
        }
        seen.insert(hop["id"].as_str().expect("an id"), started);
    }
}
