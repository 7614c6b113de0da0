//! The spans of a purchase, as a collector gets them: named and described by OpenTelemetry's semantic conventions.

use std::time::Duration;

use scenarios::collector::{Collector, SpanKind, attribute, is_number};
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, wait};

use super::watcher::buy;

/// From an order to the export of its last span: spans are exported in batches, every five seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Any value, for what differs from machine to machine.
const ANY: &str = "*";
/// Attributes that are numbers.
const NUMBERS: [&str; 3] = [
    "http.response.status_code",
    "rpc.grpc.status_code",
    "server.port",
];

/// A span: its kind, its name, and what it must say.
type Expected = (
    SpanKind,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// One of each kind that a purchase has.
const SPANS: [Expected; 10] = [
    (
        SpanKind::Server,
        "POST /api/orders",
        &[
            ("http.request.method", "POST"),
            ("http.route", "/api/orders"),
            ("http.response.status_code", "201"),
        ],
    ),
    (
        SpanKind::Client,
        "POST /v1/orders",
        &[
            ("http.request.method", "POST"),
            ("http.response.status_code", "201"),
            ("server.address", ANY),
            ("server.port", ANY),
        ],
    ),
    (
        SpanKind::Client,
        "agora.products.v1.CatalogService/Quote",
        &[
            ("rpc.system", "grpc"),
            ("rpc.service", "agora.products.v1.CatalogService"),
            ("rpc.method", "Quote"),
            ("rpc.grpc.status_code", "0"),
            ("server.address", ANY),
            ("server.port", ANY),
        ],
    ),
    (
        SpanKind::Server,
        "agora.products.v1.CatalogService/Quote",
        &[
            ("rpc.system", "grpc"),
            ("rpc.service", "agora.products.v1.CatalogService"),
            ("rpc.method", "Quote"),
            ("rpc.grpc.status_code", "0"),
        ],
    ),
    (
        SpanKind::Client,
        "place order",
        &[
            ("db.system.name", "postgresql"),
            ("db.query.summary", "place order"),
            ("db.namespace", ANY),
            ("server.address", ANY),
        ],
    ),
    (
        SpanKind::Producer,
        "order-events publish",
        &[
            ("messaging.system", "kafka"),
            ("messaging.destination.name", "order-events"),
            ("messaging.operation.name", "publish"),
            ("messaging.operation.type", "send"),
        ],
    ),
    (
        SpanKind::Consumer,
        "order-events process",
        &[
            ("messaging.system", "kafka"),
            ("messaging.destination.name", "order-events"),
            ("messaging.operation.type", "process"),
        ],
    ),
    (
        SpanKind::Producer,
        "email.jobs publish",
        &[
            ("messaging.system", "postgresql"),
            ("messaging.destination.name", "email.jobs"),
            ("messaging.operation.type", "send"),
        ],
    ),
    (
        SpanKind::Consumer,
        "email.jobs process",
        &[
            ("messaging.system", "postgresql"),
            ("messaging.destination.name", "email.jobs"),
            ("messaging.operation.type", "process"),
        ],
    ),
    (
        SpanKind::Client,
        "send",
        &[("network.protocol.name", "smtp")],
    ),
];

pub(crate) fn by_the_conventions() {
    let collector = Collector::start();
    let marketplace = Embedded::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]);
    let shop = marketplace.shop();
    let product = shop.product();
    let customer = shop.customer();
    let (trace_id, _) = buy(&shop, &customer.token, &product, &[]);
    for (kind, name, attributes) in SPANS {
        let span = wait::until_within(PATIENCE, &format!("the span {name}"), || {
            let spans = collector.of_trace(&trace_id).into_iter();
            spans
                .filter(|span| span.kind() == kind)
                .find(|span| span.name == name)
        });
        for (key, expected) in attributes {
            let value = attribute(&span, key);
            let is_it = match *expected {
                ANY => value.is_some(),
                expected => value.as_deref() == Some(expected),
            };
            assert!(is_it, "{key} of {name} is {value:?}: {span:#?}");
            let is_right = !NUMBERS.contains(key) || is_number(&span, key);
            assert!(is_right, "{key} of {name} is no number: {span:#?}");
        }
    }
    for destination in ["order-events", "email.jobs"] {
        assert_linked(&collector, &trace_id, destination);
    }
}

/// Whoever processes a message follows from its publication.
fn assert_linked(collector: &Collector, trace_id: &str, destination: &str) {
    let [publish, process] = ["publish", "process"].map(|what| format!("{destination} {what}"));
    wait::until_within(PATIENCE, &format!("{process} behind {publish}"), || {
        let spans = collector.of_trace(trace_id);
        let consumers: Vec<_> = spans.iter().filter(|span| span.name == process).collect();
        let follow = consumers.iter().all(|consumer| {
            let mut producers = spans.iter().filter(|span| span.name == publish);
            producers.any(|producer| producer.span_id == consumer.parent_span_id)
        });
        (!consumers.is_empty() && follow).then_some(())
    });
}
