//! Subscriptions, as server-sent events.

use std::time::Duration;

use contracts::identity::CUSTOMER;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Graph, ME};
use crate::support::{Call, token_for};

fn watch(graph: &Graph, order: u128, after: &str) -> Call {
    let id = Uuid::from_u128(order);
    let query = format!(
        "subscription {{ orderChanged(id: \"{id}\", after: {after}) {{ orderId sequence status }} }}"
    );
    let call = graph.post(&json!({ "query": query }));
    call.header("accept", "text/event-stream")
}

/// The events of an answer: name, id and data.
async fn events(call: Call) -> Vec<(String, String, Value)> {
    let answer = call.send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "text/event-stream");
    read(std::str::from_utf8(&answer.body).unwrap())
}

fn read(text: &str) -> Vec<(String, String, Value)> {
    // To a browser, what has no data is no event.
    let is_event = |block: &&str| block.contains("event:") && block.contains("\ndata:");
    let blocks = text.split("\n\n").filter(is_event);
    let event = |block: &str| {
        let field = |name: &str| {
            let mut values = block.lines().filter_map(|line| line.strip_prefix(name));
            values.next().unwrap_or_default().trim().to_owned()
        };
        let data = serde_json::from_str(&field("data:")).unwrap_or_default();
        (field("event:"), field("id:"), data)
    };
    blocks.map(event).collect()
}

/// The sequences that came, each with its id; and that it was complete afterwards.
#[track_caller]
fn sequences(events: &[(String, String, Value)]) -> Vec<u64> {
    let (last, changes) = events.split_last().unwrap();
    assert_eq!(last.0, "complete", "{events:?}");
    let sequence = |(name, id, data): &(String, String, Value)| {
        assert_eq!(
            (name.as_str(), data.get("errors")),
            ("next", None),
            "{data}"
        );
        let change = &data["data"]["orderChanged"];
        assert_eq!(change["status"], "PENDING");
        assert_eq!(change["sequence"].to_string(), *id);
        change["sequence"].as_u64().unwrap()
    };
    changes.iter().map(sequence).collect()
}

#[tokio::test]
async fn an_order_is_watched_from_any_change_on() {
    let graph = Graph::start().await;
    let token = token_for(ME, CUSTOMER);
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let sent = format!("00-{trace_id}-b7ad6b7169203331-01");
    let all = watch(&graph, 1, "null")
        .token(&token)
        .header("traceparent", &sent);
    assert_eq!(sequences(&events(all).await), [1, 2, 3]);
    let received = graph.goods.traceparent.lock().clone().unwrap();
    assert!(
        received.contains(trace_id) && received != sent,
        "{received}"
    );

    let rest = watch(&graph, 1, "1").token(&token);
    assert_eq!(sequences(&events(rest).await), [2, 3]);
    let none = watch(&graph, 1, "3").token(&token);
    assert!(sequences(&events(none).await).is_empty());
    // A browser that comes again says what it had, which is newer than the query it was given.
    let again = watch(&graph, 1, "1")
        .token(&token)
        .header("last-event-id", "2");
    assert_eq!(sequences(&events(again).await), [3]);
}

/// As in a query: null would say that nothing has changed, and an end that nothing will.
#[tokio::test]
async fn a_subscription_is_read_as_a_query_is() {
    let graph = Graph::start().await;
    let id = Uuid::from_u128(1);
    let field = |wanted: &str| format!("orderChanged(id: \"{id}\") {{ {wanted} }}");
    let (known, none) = (json!({ "sequence": 1 }), json!({}));
    for (subscription, expected) in [
        (format!("{{ {} }}", field("status @skip(if: true)")), &none),
        (
            format!("{{ {} }}", field("... @skip(if: true) { status }")),
            &none,
        ),
        (format!("{{ ... {{ {} }} }}", field("sequence")), &known),
        (
            format!(
                "{{ ...Watch }} fragment Watch on Subscription {{ {} }}",
                field("sequence status @skip(if: true)")
            ),
            &known,
        ),
        (
            format!(
                "{{ ...Watch }} fragment Watch on Subscription {{ {} }}",
                field("status @skip(if: true)")
            ),
            &none,
        ),
    ] {
        let query = format!("subscription {subscription}");
        let call = graph
            .post(&json!({ "query": query }))
            .token(&token_for(ME, CUSTOMER));
        let seen = events(call.header("accept", "text/event-stream")).await;
        let data = &seen[0].2["data"];
        assert_eq!(data["orderChanged"], *expected, "{seen:?}");
    }
}

/// As the clients of `graphql-sse` ask for all that they ask.
#[tokio::test]
async fn who_reads_nothing_but_streams_gets_queries_as_one() {
    let graph = Graph::start().await;
    let token = token_for(ME, CUSTOMER);
    let ask = |query: &str, accept: &str| {
        let call = graph.post(&json!({ "query": query })).token(&token);
        call.header("accept", accept)
    };
    let seen = events(ask("{ me { id } }", "text/event-stream")).await;
    let names: Vec<_> = seen.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["next", "complete"]);
    assert_eq!(seen[0].2["data"]["me"]["id"], ME.to_string(), "{seen:?}");
    // In one piece: its client has fewer places after a large one.
    let whole = ask("{ me { id } }", "text/event-stream").send().await;
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    // Who reads JSON gets that, and so does who asks for what is not executed.
    for (query, accept, status) in [
        ("{ me { id } }", "application/json, text/event-stream", 200),
        ("{ me { id } }", "text/event-stream, */*;q=0.1", 200),
        ("{ nothing }", "text/event-stream", 400),
    ] {
        let answer = ask(query, accept).send().await;
        assert_eq!(answer.header("content-type"), "application/json");
        answer.ok(status);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_where_to_go_on() {
    let graph = Graph::start().await;
    let token = token_for(ME, CUSTOMER);
    let mut answer = watch(&graph, 2, "null").token(&token).begin().await;
    let mut text = String::new();
    while let Some(frame) = answer.body_mut().frame().await {
        text += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
        // Only once both are here: what breaks takes along what is on its way.
        if read(&text).len() == 2 {
            graph.goods.breaks.notify_one();
        }
    }
    let seen = read(&text);
    let names: Vec<_> = seen.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["next", "next", "next", "complete"]);
    let (_, id, failed) = &seen[2];
    assert_eq!(
        failed["errors"][0]["extensions"]["code"], "unavailable",
        "{failed}"
    );
    let again = watch(&graph, 2, "null")
        .token(&token)
        .header("last-event-id", id);
    assert_eq!(sequences(&events(again).await), [3]);
}

#[tokio::test]
async fn a_subscription_is_its_owners_and_bounded() {
    let graph = Graph::start_with(Default::default(), &["--max-streams-per-user=1"]).await;
    let token = token_for(ME, CUSTOMER);
    // The order 3 changes no more and does not end.
    let open = watch(&graph, 3, "null").token(&token).begin().await;
    assert_eq!(open.status(), 200);
    let full = watch(&graph, 1, "null").token(&token).send().await;
    full.problem(429, "/graphql");
    drop(open);
    let free = async {
        while watch(&graph, 1, "null").token(&token).send().await.status == 429 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), free)
        .await
        .unwrap();

    for (call, code) in [
        (watch(&graph, 1, "null"), "unauthorized"),
        (watch(&graph, 1, "-1"), "unauthorized"),
    ] {
        let seen = events(call).await;
        let names: Vec<_> = seen.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["next", "complete"]);
        assert_eq!(
            seen[0].2["errors"][0]["extensions"]["code"], code,
            "{seen:?}"
        );
    }
    let graph = Graph::start().await;
    for (order, after, code) in [(0, "null", "not-found"), (1, "-1", "bad-request")] {
        let seen = events(watch(&graph, order, after).token(&token)).await;
        assert_eq!(
            seen[0].2["errors"][0]["extensions"]["code"], code,
            "{seen:?}"
        );
    }
    for bad in ["x", "", "+1", "-1", "1.0", "18446744073709551615"] {
        let bad = watch(&graph, 1, "null")
            .token(&token)
            .header("last-event-id", bad);
        bad.send().await.problem(400, "/graphql");
    }
    let twice = watch(&graph, 1, "null")
        .token(&token)
        .header("last-event-id", "1")
        .header("last-event-id", "2");
    twice.send().await.problem(400, "/graphql");
    // It is no answer that ends at once.
    let query = "subscription { orderChanged(id: \"x\") { status } }";
    let plain = graph
        .post(&json!({ "query": query }))
        .token(&token)
        .send()
        .await;
    plain.problem(406, "/graphql");
}
