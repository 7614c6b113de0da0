//! Which of several operations is meant, however they are sent.

use contracts::identity::CUSTOMER;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::{Graph, ME};
use crate::support::{Socket, token_for};

/// One of each kind.
const THREE: &str = "query Q { me { id } } mutation M { cancelOrder(id: \"x\") { id } } \
    subscription S { orderChanged(id: \"00000000-0000-0000-0000-000000000001\", after: 2) { sequence } }";

/// Requests that do not say which operation they mean.
fn unclear() -> [Value; 4] {
    [
        json!({ "query": THREE }),
        json!({ "query": THREE, "operationName": "" }),
        json!({ "query": THREE, "operationName": "X" }),
        // It has no name, so none that could be asked for.
        json!({ "query": "{ me { id } }", "operationName": "X" }),
    ]
}

#[tokio::test]
async fn an_operation_that_nobody_named_is_not_guessed_over_http() {
    let graph = Graph::start().await;
    let token = token_for(ME, CUSTOMER);
    for accept in ["application/json", "text/event-stream"] {
        for asked in unclear() {
            let call = graph.post(&asked).token(&token).header("accept", accept);
            let answer = call.send().await;
            assert_eq!(answer.header("content-type"), "application/json");
            let body = answer.ok(400);
            assert_eq!(
                body["errors"][0]["extensions"]["code"], "bad-request",
                "{asked}: {body}"
            );
            assert_eq!(body.get("data"), None, "{asked}: {body}");
        }
    }
    // It is not taken for the mutation among them, either.
    let query: String = byte_serialize(THREE.as_bytes()).collect();
    let call = graph.gateway.get(&format!("/graphql?query={query}"));
    call.token(&token).send().await.ok(400);
    assert_eq!(graph.goods.calls(), []);
    let named = json!({ "query": THREE, "operationName": "Q" });
    let answer = graph.post(&named).token(&token).send().await.ok(200);
    assert_eq!(answer["data"]["me"]["id"], ME.to_string(), "{answer}");
}

#[tokio::test]
async fn an_operation_that_nobody_named_is_not_guessed_over_a_socket() {
    let graph = Graph::start().await;
    let mut socket = Socket::of(graph.gateway.address, &token_for(ME, CUSTOMER)).await;
    let of = |name: &str| json!({ "query": THREE, "operationName": name });
    let refused = unclear().map(|asked| (asked, "bad-request"));
    let others = [
        (of("Q"), "method-not-allowed"),
        (of("M"), "method-not-allowed"),
    ];
    for (payload, code) in refused.into_iter().chain(others) {
        let subscribe = json!({ "type": "subscribe", "id": "a", "payload": payload });
        socket.says(&subscribe).await;
        let said = socket.hears().await;
        assert_eq!(said["type"], "error", "{said}");
        assert_eq!(
            said["payload"][0]["extensions"]["code"], code,
            "{subscribe}: {said}"
        );
    }
    assert_eq!(graph.goods.calls(), []);
    let subscribe = json!({ "type": "subscribe", "id": "a", "payload": of("S") });
    socket.says(&subscribe).await;
    let said = socket.hears().await;
    let change = &said["payload"]["data"]["orderChanged"];
    assert_eq!(change["sequence"], 3, "{said}");
    assert_eq!(socket.hears().await["type"], "complete");
}
