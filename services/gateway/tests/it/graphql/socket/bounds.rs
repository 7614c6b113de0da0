//! What one client's sockets may take, and what may be asked for over them.

use futures::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Graph, refused, sequences, token, until_free, watch};
use crate::support::{PROTOCOL, Socket};

#[tokio::test]
async fn sockets_and_what_they_ask_for_are_bounded() {
    let flags = ["--max-streams-per-address=3", "--max-streams-per-user=1"];
    let graph = Graph::start_with(Default::default(), &flags).await;
    let mut socket = Socket::of(graph.gateway.address, &token()).await;
    socket.subscribe("a", &watch(3, "2")).await;
    assert_eq!(socket.hears().await["type"], "next");
    // It is a stream of its user like any.
    socket.subscribe("b", &watch(3, "2")).await;
    assert_eq!(refused(&mut socket, "b").await, "too-many-requests");
    let _second = Socket::open(graph.gateway.address).await;
    let third = Socket::try_open(graph.gateway.address, &[PROTOCOL]).await;
    assert_eq!(third.err(), Some(429), "two sockets and a subscription");
    socket.says(&json!({"type": "complete", "id": "a"})).await;
    let third = until_free(&graph).await;
    drop(third);
    drop(socket);
    let _again = until_free(&graph).await;

    let graph = Graph::start_with(Default::default(), &["--max-streams-per-user=100"]).await;
    let mut socket = Socket::of(graph.gateway.address, &token()).await;
    for n in 0..32 {
        socket.subscribe(&n.to_string(), &watch(3, "2")).await;
    }
    for _ in 0..32 {
        assert_eq!(socket.hears().await["type"], "next");
    }
    socket.subscribe("more", &watch(3, "2")).await;
    assert_eq!(refused(&mut socket, "more").await, "too-many-requests");
    socket.says(&json!({"type": "complete", "id": "7"})).await;
    socket.subscribe("more", &watch(3, "2")).await;
    assert_eq!(socket.hears().await["type"], "next");
}

#[tokio::test]
async fn each_message_is_taken_off_its_clients_budget() {
    let graph = Graph::start_with(Default::default(), &["--rate-limit=2"]).await;
    // Others of the same address have used it up; a user has another one.
    let mut socket = loop {
        match Socket::try_open(graph.gateway.address, &[PROTOCOL]).await {
            Ok(socket) => break socket,
            Err(status) => assert_eq!(status, 429),
        }
    };
    socket.init(&token()).await;
    assert_eq!(socket.hears().await["type"], "connection_ack");
    for n in 0..50 {
        socket.subscribe(&n.to_string(), &watch(1, "2")).await;
    }
    let refused = loop {
        let message = socket.hears().await;
        if message["type"] == "error" {
            break message;
        }
        assert!(
            message["id"] != "49" || message["type"] == "next",
            "none was refused"
        );
    };
    let error = &refused["payload"][0]["extensions"];
    assert_eq!(error["code"], "too-many-requests", "{refused}");
    assert!(error["retryAfter"].is_u64(), "{refused}");
    for _ in 0..50 {
        // It may be closed already.
        let ping = json!({"type": "ping"}).to_string();
        let _ = socket.0.send(Message::text(ping)).await;
    }
    assert_eq!(socket.closes().await, 1008);
}

#[tokio::test]
async fn only_subscriptions_within_all_limits_are_begun() {
    let graph = Graph::start().await;
    let mut socket = Socket::of(graph.gateway.address, &token()).await;
    let one = watch(1, "null");
    let two = format!(
        "subscription {{ a: {0} b: {0} }}",
        one[15..one.len() - 1].trim()
    );
    let spread = format!("{{ ...f }} fragment f on Subscription {}", &two[13..]);
    let bomb: String = (0..24)
        .map(|n| {
            format!(
                " fragment f{n} on Subscription {{ ...f{0} ...f{0} }}",
                n + 1
            )
        })
        .collect();
    for (query, code) in [
        ("{ me { id } }".to_owned(), "method-not-allowed"),
        (
            "mutation { cancelOrder(id: \"x\") { id } }".to_owned(),
            "method-not-allowed",
        ),
        (two, "bad-request"),
        (format!("subscription {spread}"), "bad-request"),
        (
            format!(
                "subscription {{ ...f0 }} fragment f24 on Subscription {{ orderChanged(id: 1) {{ status }} }}{bomb}"
            ),
            "bad-request",
        ),
        ("{".repeat(7_500), "bad-request"),
        (
            format!("subscription {{ {} }}", "a".repeat(200)),
            "bad-request",
        ),
        ("subscription { nothing }".to_owned(), "bad-request"),
        (
            "subscription { orderChanged(id: 1) }".to_owned(),
            "bad-request",
        ),
        (watch(1, "\"1\""), "bad-request"),
        (String::new(), "bad-request"),
    ] {
        socket.subscribe("a", &query).await;
        assert_eq!(refused(&mut socket, "a").await, code, "{query}");
    }
    assert_eq!(graph.goods.calls(), []);
    // Sent once, and then named by its hash, as over HTTP.
    let query = "subscription { orderChanged(id: \"00000000-0000-0000-0000-000000000001\", after: 2) { sequence } }";
    let hash = sha256(query);
    let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    for (id, payload, found) in [
        ("1", json!({"extensions": extensions}), false),
        ("2", json!({"extensions": extensions, "query": query}), true),
        ("3", json!({"extensions": extensions}), true),
    ] {
        socket
            .says(&json!({"type": "subscribe", "id": id, "payload": payload}))
            .await;
        if found {
            assert_eq!(sequences(&mut socket, id).await, [3]);
        } else {
            assert_eq!(refused(&mut socket, id).await, "persisted-query-not-found");
        }
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
