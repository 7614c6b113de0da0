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
