//! Sockets that hold more than they need: they make room, and what their messages leave behind is nothing.

use std::net::SocketAddr;

use contracts::identity::CUSTOMER;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{Graph, ME};
use crate::support::{PROTOCOL, Socket, token_for};

/// Addresses are what a proxy on this machine says.
const BEHIND_A_PROXY: &str = "--trusted-proxies=127.0.0.0/8";

async fn from(gateway: SocketAddr, address: &str) -> Result<Socket, u16> {
    Socket::try_open(gateway, &[PROTOCOL, ("x-forwarded-for", address)]).await
}

/// Watches an order in which nothing more happens after the first change that is told.
async fn watch(socket: &mut Socket, id: &str) {
    let order = Uuid::from_u128(3);
    let query =
        format!("subscription {{ orderChanged(id: \"{order}\", after: 2) {{ sequence }} }}");
    socket.subscribe(id, &query).await;
    assert_eq!(socket.hears().await["type"], "next");
}

/// It goes on.
async fn is_there(socket: &mut Socket) {
    socket.says(&json!({"type": "ping"})).await;
    assert_eq!(socket.hears().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn sockets_of_the_one_with_the_most_make_room() {
    let flags = [
        BEHIND_A_PROXY,
        "--max-streams=3",
        "--graphql-init-timeout=60s",
    ];
    let graph = Graph::start_with(Default::default(), &flags).await;
    let gateway = graph.gateway.address;
    let mut greedy = Vec::new();
    for _ in 0..3 {
        greedy.push(from(gateway, "192.0.2.1").await.unwrap());
    }
    let mut others = Vec::new();
    for (oldest, address) in ["192.0.2.2", "192.0.2.3"].into_iter().enumerate() {
        others.push(from(gateway, address).await.unwrap());
        assert_eq!(greedy[oldest].closes().await, 1013);
    }
    // Whoever comes now would have as many as everybody, and whoever has been closed would have more.
    for address in ["192.0.2.4", "192.0.2.1"] {
        assert_eq!(from(gateway, address).await.err(), Some(503));
    }
    for socket in greedy.iter_mut().skip(2).chain(&mut others) {
        socket.init(&token_for(ME, CUSTOMER)).await;
        assert_eq!(socket.hears().await["type"], "connection_ack");
    }
}

#[tokio::test]
async fn subscriptions_make_room_and_their_socket_stays() {
    let graph = Graph::start_with(Default::default(), &[BEHIND_A_PROXY, "--max-streams=3"]).await;
    let mut greedy = from(graph.gateway.address, "192.0.2.1").await.unwrap();
    greedy.init(&token_for(ME, CUSTOMER)).await;
    assert_eq!(greedy.hears().await["type"], "connection_ack");
    for id in ["a", "b"] {
        watch(&mut greedy, id).await;
    }
    let _other = from(graph.gateway.address, "192.0.2.2").await.unwrap();
    let ended = greedy.hears().await;
    assert_eq!(ended["type"], "error", "{ended}");
    assert_eq!(ended["id"], "a", "{ended}");
    let code = &ended["payload"][0]["extensions"]["code"];
    assert_eq!(code, "unavailable", "{ended}");
    is_there(&mut greedy).await;
}

#[tokio::test]
async fn a_socket_without_a_subscription_is_not_kept() {
    // In which the first one has to subscribe, on a busy machine, too.
    let graph = Graph::start_with(Default::default(), &["--graphql-idle-timeout=3s"]).await;
    let token = token_for(ME, CUSTOMER);
    let mut watching = Socket::of(graph.gateway.address, &token).await;
    watch(&mut watching, "a").await;
    let mut idle = Socket::of(graph.gateway.address, &token).await;
    assert_eq!(idle.closes().await, 1000);
    is_there(&mut watching).await;
    let complete = json!({"type": "complete", "id": "a"});
    watching.says(&complete).await;
    assert_eq!(watching.closes().await, 1000);
}

/// What counts is what waits for its rest: neither whole messages nor control frames between them.
#[tokio::test]
async fn whole_messages_take_no_room() {
    const BYTES: usize = 20_000;
    // Of four sockets that have said that much.
    let room = format!("--max-head-bytes-per-address={}", 3 * BYTES);
    let graph = Graph::start_with(Default::default(), &[&room]).await;
    let token = token_for(ME, CUSTOMER);
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(Socket::of(graph.gateway.address, &token).await);
    }
    for socket in &mut sockets {
        let long = json!({"type": "ping", "payload": {"long": "x".repeat(BYTES)}});
        socket.says(&long).await;
        assert_eq!(socket.hears().await, json!({"type": "pong"}));
    }
    for socket in &mut sockets {
        for _ in 0..BYTES / 100 {
            socket.sends(Message::Ping(vec![0; 100].into())).await;
            while !matches!(socket.frame().await, Message::Pong(_)) {}
        }
    }
    for socket in &mut sockets {
        is_there(socket).await;
    }
}
