//! Who reads what is told: each goes on where it was, and costs nothing that is not its own.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use chassis::{Shutdown, hops, trace};
use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{Reader, admin, door, parent};
use crate::support::log;
use crate::support::server::Server;

#[tokio::test]
async fn a_reader_goes_on_after_the_last_event_it_had() {
    log::init();
    let router = admin("resumed");
    let server = door("resumed", Router::new().route("/", get(|| async {}))).await;
    let mut reader = Reader::open(&router, None).await;
    server.get("/").await;
    let first = reader.next().await;
    drop(reader);
    let mut again = Reader::open(&router, Some(&first.id)).await;
    let second = again.next().await;
    assert_eq!(second.data["phase"], "end");
    assert_eq!(second.data["span_id"], first.data["span_id"]);
}

#[tokio::test]
async fn who_watches_is_no_part_of_the_picture() {
    log::init();
    let router = admin("watching").merge(admin::controls(
        "watching",
        admin::Clients::new(),
        admin::DeadLetters::default(),
        Some(resilience::fault::Faults::new()),
    ));
    let port = Server::plain(router.clone(), chassis::http::Options::default()).await;
    let mut reader = Reader::open(&router, None).await;
    port.get("/clients").await;
    port.send(axum::http::Method::DELETE, "/faults", &[], String::new())
        .await;
    let told = reader.next().await;
    assert_eq!(
        (told.event.as_str(), &told.data["rules"]),
        ("fault", &serde_json::json!([]))
    );
}

#[tokio::test]
async fn streams_end_with_the_service_and_readers_are_bounded() {
    log::init();
    let shutdown = Shutdown::manual();
    let router = admin::hops("bounded", shutdown.token());
    let port = Server::plain(router.clone(), chassis::http::Options::default()).await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(Reader::open(&router, None).await);
    }
    port.get("/hops").await.problem(503);
    shutdown.trigger();
    for mut reader in readers {
        let end = tokio::time::timeout(Duration::from_secs(20), reader.body.next());
        assert!(end.await.expect("it ends").is_none());
    }
}

/// More than the ring holds, and all buffers on the way to a reader: each is four records of some 600 bytes.
const FLOOD: usize = 8_000;

/// The topic of the last message of all.
const LAST: &str = "last-things";

fn publish(topic: &'static str) {
    let told = parent("cbf92f3577b34da6a3ce929d0e0e4739");
    let mut headers: Vec<_> = [
        ("ce_id", "0190163d-8694-739b-aea5-966c26f8ad91"),
        ("ce_time", "2026-11-28T12:00:00.000001Z"),
        ("traceparent", &told),
        ("ce_traceparent", &told),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    trace::publish_span(topic, &mut headers, b"").in_scope(|| ());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_costs_nothing_and_hears_how_much_it_missed() {
    log::init();
    let routes = admin("unread").route("/ping", get(|| async {}));
    let port = Server::plain(routes, chassis::http::Options::default()).await;
    // A window that is soon full.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stalled = socket.connect(port.address).await.unwrap();
    // Of HTTP/1.0, whose bodies are not cut into chunks.
    let request = format!("GET /hops HTTP/1.0\r\nhost: {}\r\n\r\n", port.address);
    stalled.write_all(request.as_bytes()).await.unwrap();
    let mut piece = vec![0; 64 * 1024];
    assert_ne!(
        stalled.read(&mut piece).await.unwrap(),
        0,
        "it reads the head, and no more"
    );

    let service = trace::service_span("unread");
    for _ in 0..FLOOD {
        service.in_scope(|| publish("things"));
        assert!(hops::ring("unread").bytes() <= hops::RING_BYTES_MAX);
    }
    service.in_scope(|| publish(LAST));
    assert_eq!(port.get("/ping").await.status, StatusCode::OK);

    // It is told of what it missed wherever it had to be left out: every record came or was counted, but for starts of hops
    // whose ends came.
    let (mut text, mut first, mut told, mut dropped) = (String::new(), None, 0, 0);
    let (mut begun, mut ended_only) = (HashMap::new(), 0);
    let last = 'all: loop {
        let read = stalled.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "the stream goes on");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(id), Some(data)) = (line("id:"), line("data:")) {
                let id: u64 = id.parse().unwrap();
                if line("event:") == Some("dropped") {
                    let data: Value = serde_json::from_str(data).unwrap();
                    let count = data["count"].as_u64().unwrap();
                    dropped += count;
                    first.get_or_insert(id + 1 - count);
                } else {
                    told += 1;
                    first.get_or_insert(id);
                    let record: Value = serde_json::from_str(data).unwrap();
                    let span = record["span_id"].to_string();
                    // All of these messages have waited as one event, so there are many of some ids.
                    let begun: &mut u64 = begun.entry(span).or_default();
                    match (record["phase"] == "start", *begun) {
                        (true, _) => *begun += 1,
                        (false, 0) => ended_only += 1,
                        (false, _) => *begun -= 1,
                    }
                    if data.contains(LAST) {
                        break 'all id;
                    }
                }
            }
            text = rest.to_owned();
        }
    };
    assert!(dropped > 1_000, "{dropped}");
    let missing = last + 1 - first.unwrap() - told - dropped;
    // The end of the last one's wait comes behind its own.
    assert!(missing <= ended_only + 1, "{missing} of {ended_only}");
}
