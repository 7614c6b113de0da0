//! Spans of consumers, and what is put on messages.

use chassis::{telemetry, trace};
use tracing::Instrument;

use crate::hops::{Reader, admin};
use crate::support::log;

const PARENT: &str = "00-bbf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn headers(name: &str) -> Vec<(String, String)> {
    vec![
        ("ce_id".to_owned(), "1".to_owned()),
        (name.to_owned(), PARENT.to_owned()),
    ]
}

#[tokio::test]
async fn a_message_continues_its_trace_and_passes_it_on() {
    log::init();
    for name in ["traceparent", "Traceparent", "ce_traceparent"] {
        let span = trace::consumer_span("order-events process", &headers(name));
        async {
            assert_eq!(trace::current_trace_id().as_deref(), Some(&PARENT[3..35]));
            let context = trace::current();
            assert!(
                context
                    .traceparent
                    .as_ref()
                    .unwrap()
                    .starts_with(&PARENT[..36])
            );
            assert_ne!(
                context.traceparent.as_deref(),
                Some(PARENT),
                "a span of its own"
            );
            tracing::info!("line-of-{name}-6620");
        }
        .instrument(span)
        .await;
        let lines = log::lines_with(&format!("line-of-{name}-6620"));
        assert_eq!(lines[0]["trace_id"], PARENT[3..35], "{lines:?}");
        assert_eq!(lines[0]["service"], "it");
    }
}

#[tokio::test]
async fn a_message_is_linked_over_the_broker() {
    log::init();
    // A span that nobody wants is not made.
    let _reader = Reader::open(&admin("linking"), None).await;
    let mut sent = headers("traceparent");
    sent.push(("ce_traceparent".to_owned(), PARENT.to_owned()));
    let publishing = trace::publish_span("order-events", &mut sent, b"{}");
    let own = publishing.in_scope(trace::current).traceparent.unwrap();
    assert!(own.starts_with(&PARENT[..36]) && own != PARENT, "{own}");
    let of = |name: &str| {
        let header = sent.iter().find(|(key, _)| key == name);
        header.map(|(_, value)| value.as_str())
    };
    // The consumer follows from the publication; where the event happened is still known.
    assert_eq!(of("traceparent"), Some(own.as_str()));
    assert_eq!(of("ce_traceparent"), Some(PARENT));

    let mut without = headers("other");
    let span = trace::publish_span("order-events", &mut without, b"{}");
    assert!(span.is_none() && without == headers("other"));
}

#[tokio::test]
async fn messages_without_a_trace_begin_one_each() {
    log::init();
    let id = |headers: &[(String, String)]| {
        trace::consumer_span("x", headers)
            .in_scope(trace::current_trace_id)
            .unwrap()
    };
    let none = headers("other");
    assert_ne!(id(&none), id(&none));
    let outer = trace::consumer_span("outer", &headers("traceparent"));
    let inner = outer.in_scope(|| id(&none));
    assert_ne!(
        inner,
        PARENT[3..35],
        "not the trace of whoever happened to poll it"
    );
    let timer = || trace::root_span("x").in_scope(trace::current_trace_id);
    let (one, two) = (timer().unwrap(), outer.in_scope(timer).unwrap());
    assert!(one != two && two != PARENT[3..35], "{one} {two}");
}

#[tokio::test]
async fn services_that_share_a_process_are_told_apart_in_the_log() {
    log::init();
    let service = trace::service_span("orders");
    service.in_scope(|| {
        assert_eq!(trace::current_trace_id(), None, "no trace that never ends");
        tracing::info!("background-8804");
        trace::consumer_span("x", &headers("traceparent"))
            .in_scope(|| tracing::info!("message-8804"));
    });
    for line in ["background-8804", "message-8804"] {
        assert_eq!(log::lines_with(line)[0]["service"], "orders");
    }
    assert_eq!(
        log::lines_with("message-8804")[0]["trace_id"],
        PARENT[3..35]
    );
}

#[tokio::test]
async fn outside_of_spans_there_is_nothing_to_pass_on() {
    log::init();
    assert_eq!(trace::current_trace_id(), None);
    assert_eq!(trace::current(), envelope::TraceContext::default());
}

#[test]
fn set_up_twice_is_an_error_and_not_a_panic() {
    log::init();
    let again = telemetry::init(telemetry::Telemetry {
        service: "again",
        log_format: chassis::telemetry::LogFormat::Pretty,
        otlp_endpoint: None,
        writer: telemetry::Writer::Stderr,
    });
    assert_eq!(
        again.err().unwrap().to_string(),
        "logging was set up twice in this process"
    );
}

/// Its pool tells of an outage once for each connection; whoever watches the database tells of it once.
#[test]
fn what_sqlx_says_of_broken_connections_is_no_line() {
    log::init();
    tracing::error!(target: "sqlx_core::pool::inner", "broken-connection-7713");
    tracing::warn!(target: "sqlx::query", "slow-statement-7713");
    assert!(log::lines_with("broken-connection-7713").is_empty());
    assert_eq!(log::lines_with("slow-statement-7713").len(), 1);
}

/// Libraries make spans and events for each frame and each statement. Only what breakers tell is looked at below INFO, by readers
/// of hops.
#[test]
fn what_no_layer_looks_at_is_disabled_where_it_is_made() {
    log::init();
    assert!(tracing::debug_span!(target: "h2::proto", "Connection").is_disabled());
    assert!(tracing::trace_span!(target: "h2::codec", "poll_next").is_disabled());
    assert!(!tracing::enabled!(target: "sqlx::query", tracing::Level::DEBUG));
    assert!(!tracing::info_span!(target: "h2::proto", "kept").is_disabled());
    assert!(tracing::enabled!(tracing::Level::INFO));
}
