//! One trace follows a request, whichever way it goes on.

use contracts::identity::CUSTOMER;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{FakeShop, FakeUsers, start, token_for};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn the_clients_trace_goes_on_over_http_and_grpc() {
    let (users, fake) = FakeUsers::default().serve().await;
    let gateway = start(users, FakeShop::default().serve().await, &[]).await;
    let sent = format!("00-{TRACE_ID}-b7ad6b7169203331-01");
    let continues = |received: &str| {
        assert!(received.contains(TRACE_ID), "{received}");
        assert_ne!(
            received, sent,
            "the gateway's own span is the parent of what follows"
        );
    };

    let seen: Value = gateway
        .get("/api/orders/1")
        .header("traceparent", &sent)
        .send()
        .await
        .ok(200);
    continues(seen["headers"]["traceparent"].as_str().unwrap());

    let token = token_for(Uuid::max(), CUSTOMER);
    gateway
        .get("/api/users/me")
        .token(&token)
        .header("traceparent", &sent)
        .send()
        .await
        .ok(200);
    continues(fake.traceparent.lock().as_deref().unwrap());

    let problem = gateway
        .get("/nowhere")
        .header("traceparent", &sent)
        .send()
        .await
        .problem(404, "/nowhere");
    assert_eq!(problem["trace_id"], TRACE_ID);
}

/// Each answer says which trace it belongs to, good ones among them: with it somebody without a `traceparent` finds theirs.
#[tokio::test]
async fn each_answer_names_its_trace() {
    let (users, _) = FakeUsers::default().serve().await;
    let gateway = start(users, FakeShop::default().serve().await, &[]).await;
    let sent = format!("00-{TRACE_ID}-b7ad6b7169203331-01");
    for path in ["/api/orders/1", "/nowhere", "/"] {
        let answer = gateway.get(path).header("traceparent", &sent).send().await;
        let parts: Vec<_> = answer.header("traceresponse").split('-').collect();
        let [version, trace, span, flags] = parts[..] else {
            panic!("{path}: {answer:?}");
        };
        assert_eq!((version, trace, flags), ("00", TRACE_ID, "01"), "{path}");
        assert!(span.len() == 16 && span != "b7ad6b7169203331", "{path}");
    }

    let begun = gateway.get("/nowhere").send().await;
    let problem = begun.problem(404, "/nowhere");
    let trace = problem["trace_id"].as_str().unwrap();
    let response = begun.header("traceresponse");
    assert!(response.starts_with(&format!("00-{trace}-")), "{response}");
    // Spans are not exported here, and no caller has sampled the trace.
    assert!(response.ends_with("-00"), "{response}");
}
