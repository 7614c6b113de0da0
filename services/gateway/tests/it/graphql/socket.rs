//! Subscriptions over a WebSocket.

mod bounds;

use std::time::Duration;

use contracts::identity::{ADMIN, CUSTOMER, REALM};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use uuid::Uuid;

use super::{Graph, ME};
use crate::support::{Issuer, PROTOCOL, Socket, token_for};

fn watch(order: u128, after: &str) -> String {
    let id = Uuid::from_u128(order);
    format!("subscription {{ orderChanged(id: \"{id}\", after: {after}) {{ sequence }} }}")
}

fn token() -> String {
    token_for(ME, CUSTOMER)
}

/// The sequences that come under this id, and that it is complete afterwards.
async fn sequences(socket: &mut Socket, id: &str) -> Vec<u64> {
    let mut sequences = Vec::new();
    loop {
        let message = socket.hears().await;
        assert_eq!(message["id"], id, "{message}");
        if message["type"] == "complete" {
            return sequences;
        }
        assert_eq!(message["type"], "next", "{message}");
        let change = &message["payload"]["data"]["orderChanged"];
        sequences.push(
            change["sequence"]
                .as_u64()
                .unwrap_or_else(|| panic!("{message}")),
        );
    }
}

/// The code of the error that this operation ends with.
async fn refused(socket: &mut Socket, id: &str) -> String {
    let message = socket.hears().await;
    assert_eq!(
        (&message["type"], &message["id"]),
        (&json!("error"), &json!(id)),
        "{message}"
    );
    let code = &message["payload"][0]["extensions"]["code"];
    code.as_str()
        .unwrap_or_else(|| panic!("{message}"))
        .to_owned()
}

/// Nothing was left to be said, and it goes on.
async fn is_there(socket: &mut Socket) {
    socket
        .says(&json!({"type": "ping", "payload": {"any": 1}}))
        .await;
    assert_eq!(socket.hears().await, json!({"type": "pong"}));
}

/// Until a socket is let in: places are given back a moment after their holder has gone.
async fn until_free(graph: &Graph) -> Socket {
    let free = async {
        loop {
            match Socket::try_open(graph.gateway.address, &[PROTOCOL]).await {
                Ok(socket) => return socket,
                Err(status) => assert_eq!(status, 429),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), free)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_is_watched_over_a_socket_from_any_change_on() {
    let graph = Graph::start().await;
    let mut socket = Socket::of(graph.gateway.address, &token()).await;
    for (after, expected) in [("null", &[1, 2, 3][..]), ("1", &[2, 3]), ("3", &[])] {
        // An id is free again when its operation is complete.
        socket.subscribe("a", &watch(1, after)).await;
        assert_eq!(sequences(&mut socket, "a").await, expected);
    }
    // One that does not end, and others beside it.
    socket.subscribe("long", &watch(3, "2")).await;
    assert_eq!(
        socket.hears().await["payload"]["data"]["orderChanged"]["sequence"],
        3
    );
    socket.subscribe("b", &watch(1, "2")).await;
    assert_eq!(sequences(&mut socket, "b").await, [3]);
    socket
        .says(&json!({"type": "complete", "id": "long"}))
        .await;
    socket
        .says(&json!({"type": "complete", "id": "long"}))
        .await;
    is_there(&mut socket).await;
    socket.subscribe("long", &watch(1, "2")).await;
    assert_eq!(sequences(&mut socket, "long").await, [3]);
    // With variables, as clients send it.
    let query = "subscription W($id: ID!) { orderChanged(id: $id, after: 2) { sequence } }";
    let payload = json!({
        "query": query, "operationName": "W", "variables": {"id": Uuid::from_u128(1)}, "extensions": null,
    });
    socket
        .says(&json!({"type": "subscribe", "id": "v", "payload": payload}))
        .await;
    assert_eq!(sequences(&mut socket, "v").await, [3]);
}

#[tokio::test]
async fn a_socket_belongs_to_a_token_and_to_a_trace() {
    let graph = Graph::start().await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let (bearer, trace) = (
        format!("Bearer {}", token()),
        format!("00-{trace_id}-b7ad6b7169203331-01"),
    );
    // A program sets the header; where it comes from makes no difference.
    let headers = [
        PROTOCOL,
        ("authorization", &bearer),
        ("traceparent", &trace),
        ("origin", "https://elsewhere.example"),
    ];
    let mut socket = Socket::try_open(graph.gateway.address, &headers)
        .await
        .unwrap();
    socket.says(&json!({"type": "connection_init"})).await;
    assert_eq!(socket.hears().await["type"], "connection_ack");
    socket.subscribe("a", &watch(1, "null")).await;
    assert_eq!(sequences(&mut socket, "a").await, [1, 2, 3]);
    let received = graph.goods.traceparent.lock().clone().unwrap();
    assert!(
        received.contains(trace_id) && received != trace,
        "{received}"
    );

    // Without one the field decides, as it does over HTTP.
    let mut nobody = Socket::try_open(graph.gateway.address, &[PROTOCOL, headers[3]])
        .await
        .unwrap();
    nobody
        .says(&json!({"type": "connection_init", "payload": {"else": 1}}))
        .await;
    assert_eq!(nobody.hears().await["type"], "connection_ack");
    for (order, code) in [(1, "unauthorized"), (0, "unauthorized")] {
        nobody.subscribe("a", &watch(order, "null")).await;
        let next = nobody.hears().await;
        assert_eq!(
            next["payload"]["errors"][0]["extensions"]["code"], code,
            "{next}"
        );
        assert_eq!(nobody.hears().await, json!({"type": "complete", "id": "a"}));
    }
    // Another's order is none.
    socket.subscribe("a", &watch(0, "null")).await;
    let next = socket.hears().await;
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"], "not-found",
        "{next}"
    );
    assert_eq!(socket.hears().await["type"], "complete");
}

#[tokio::test]
async fn a_token_that_expires_opens_nothing_any_more() {
    let graph = Graph::start().await;
    // Long enough to be let in with, on a busy machine, too.
    let short = REALM.claims(ME, CUSTOMER, Duration::from_secs(6));
    let mut socket = Socket::of(graph.gateway.address, &Issuer::TRUSTED.sign(&short)).await;
    let expired = async {
        loop {
            socket.subscribe("a", &watch(1, "2")).await;
            let next = socket.hears().await;
            assert_eq!(socket.hears().await["type"], "complete");
            if next["payload"]["errors"][0]["extensions"]["code"] == "unauthorized" {
                return;
            }
            assert_eq!(next["payload"]["data"]["orderChanged"]["sequence"], 3);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), expired)
        .await
        .unwrap();
}

#[tokio::test]
async fn each_breach_of_the_protocol_closes_with_its_code() {
    let graph = Graph::start().await;
    let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}", token())}});
    let subscribe =
        |id: &str| json!({"type": "subscribe", "id": id, "payload": {"query": watch(3, "null")}});
    let expired = REALM.claims(ME, CUSTOMER, Duration::ZERO);
    let mut elsewhere = REALM.claims(ME, CUSTOMER, Duration::from_secs(60));
    elsewhere.aud = "elsewhere".to_owned();
    let admin = REALM.claims(ME, ADMIN, Duration::from_secs(60));
    let said = |token: &str| json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}});
    for (what, code, messages) in [
        ("a subscription of nobody", 4401, vec![subscribe("a")]),
        ("a second init", 4429, vec![init.clone(), init.clone()]),
        (
            "an id that is in use",
            4409,
            vec![init.clone(), subscribe("a"), subscribe("a")],
        ),
        ("no message", 4400, vec![json!(1)]),
        ("no object", 4400, vec![json!(["ping"])]),
        ("no type", 4400, vec![json!({"id": "a"})]),
        (
            "an unknown type",
            4400,
            vec![json!({"type": "start", "id": "a"})],
        ),
        (
            "no payload",
            4400,
            vec![init.clone(), json!({"type": "subscribe", "id": "a"})],
        ),
        ("an empty id", 4400, vec![init.clone(), subscribe("")]),
        (
            "a long id",
            4400,
            vec![init.clone(), subscribe(&"é".repeat(33))],
        ),
        (
            "a long message",
            1009,
            vec![json!({"type": "ping", "payload": "x".repeat(32 * 1024)})],
        ),
        (
            "a forged token",
            4403,
            vec![said(&Issuer::FORGER.sign(&admin))],
        ),
        (
            "an expired token",
            4403,
            vec![said(&Issuer::TRUSTED.sign(&expired))],
        ),
        (
            "a token for others",
            4403,
            vec![said(&Issuer::TRUSTED.sign(&elsewhere))],
        ),
        ("no token at all", 4403, vec![said("")]),
        (
            "another scheme",
            4403,
            vec![json!({"type": "connection_init", "payload": {"authorization": "Basic YTpi"}})],
        ),
    ] {
        let mut socket = Socket::open(graph.gateway.address).await;
        for message in messages {
            socket.says(&message).await;
        }
        assert_eq!(socket.closes().await, code, "{what}");
    }
    let mut socket = Socket::open(graph.gateway.address).await;
    socket.sends(Message::binary(init.to_string())).await;
    assert_eq!(socket.closes().await, 4400);
    // A bad one in the header is told when the conversation begins: a browser could not see it before.
    let bad = [PROTOCOL, ("authorization", "Bearer x")];
    let mut socket = Socket::try_open(graph.gateway.address, &bad).await.unwrap();
    socket.says(&json!({"type": "connection_init"})).await;
    assert_eq!(socket.closes().await, 4403);
    // Megabytes are not read.
    let mut socket = Socket::open(graph.gateway.address).await;
    let long = json!({"type": "ping", "payload": "x".repeat(1 << 20)}).to_string();
    let sent = socket.0.send(Message::text(long)).await;
    let ends = async {
        while let Some(Ok(frame)) = socket.0.next().await {
            if let Message::Close(Some(close)) = frame {
                assert_eq!(u16::from(close.code), 1002);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ends)
        .await
        .unwrap();
    drop(sent);

    for (headers, status) in [
        (vec![], 400),
        (vec![("sec-websocket-protocol", "graphql-ws")], 400),
        (vec![PROTOCOL, ("sec-websocket-version", "8")], 400),
    ] {
        let answer = Socket::try_open(graph.gateway.address, &headers).await;
        assert_eq!(answer.err(), Some(status), "{headers:?}");
    }
    // What cannot change its protocol gets an answer that says so.
    let plain = graph.gateway.get("/graphql").header("upgrade", "websocket");
    plain.send().await.problem(400, "/graphql");
}

/// Without the answer a client sees 1006 in place of its own code, as if the connection had broken.
#[tokio::test]
async fn who_takes_leave_is_answered() {
    let graph = Graph::start().await;
    for code in [CloseCode::Normal, CloseCode::Library(4000)] {
        let mut socket = Socket::of(graph.gateway.address, &token()).await;
        // There is more to come.
        socket.subscribe("a", &watch(3, "2")).await;
        assert_eq!(socket.hears().await["type"], "next");
        let reason = "enough".into();
        socket
            .sends(Message::Close(Some(CloseFrame { code, reason })))
            .await;
        assert_eq!(socket.closes().await, u16::from(code));
    }
}

#[tokio::test]
async fn who_does_not_say_who_it_is_is_not_waited_for() {
    let graph = Graph::start_with(Default::default(), &["--graphql-init-timeout=50ms"]).await;
    let mut socket = Socket::open(graph.gateway.address).await;
    assert_eq!(socket.closes().await, 4408);
}

#[tokio::test]
async fn who_is_not_there_any_more_is_given_up() {
    let flags = ["--graphql-heartbeat=500ms", "--max-streams-per-address=1"];
    let graph = Graph::start_with(Default::default(), &flags).await;
    // It answers, for as long as it is asked.
    let mut socket = Socket::of(graph.gateway.address, &token()).await;
    for _ in 0..3 {
        while !matches!(socket.frame().await, Message::Ping(_)) {}
    }
    // It answers nothing any more, and its connection is still there.
    let other = until_free(&graph).await;
    drop((socket, other));
}

#[tokio::test]
async fn a_subscription_that_breaks_says_so_and_can_be_resumed() {
    let graph = Graph::start().await;
    let mut socket = Socket::of(graph.gateway.address, &token()).await;
    socket.subscribe("a", &watch(2, "null")).await;
    let mut last = Value::Null;
    for _ in 0..2 {
        last = socket.hears().await["payload"]["data"]["orderChanged"]["sequence"].clone();
    }
    graph.goods.breaks.notify_one();
    let failed = socket.hears().await;
    assert_eq!(
        failed["payload"]["errors"][0]["extensions"]["code"], "unavailable",
        "{failed}"
    );
    assert_eq!(socket.hears().await, json!({"type": "complete", "id": "a"}));
    socket.subscribe("a", &watch(2, &last.to_string())).await;
    assert_eq!(sequences(&mut socket, "a").await, [3]);
}

#[tokio::test]
async fn a_shutdown_closes_sockets_so_that_their_clients_come_again() {
    let graph = Graph::start().await;
    let mut silent = Socket::open(graph.gateway.address).await;
    let mut socket = Socket::of(graph.gateway.address, &token()).await;
    socket.subscribe("a", &watch(3, "2")).await;
    assert_eq!(socket.hears().await["type"], "next");
    graph.gateway.shutdown.trigger();
    for socket in [&mut silent, &mut socket] {
        assert_eq!(socket.closes().await, 1001);
    }
    drop((silent, socket));
    let stopped = tokio::time::timeout(Duration::from_secs(60), graph.gateway.running);
    stopped.await.unwrap().unwrap().unwrap();
}
