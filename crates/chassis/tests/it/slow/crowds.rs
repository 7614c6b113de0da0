//! Connections that do nothing make room for those that do.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::health::Health;
use chassis::http::Options;
use chassis::{Shutdown, admin, listen};
use tokio::sync::Semaphore;

use crate::support::eventually;
use crate::support::hello;
use crate::support::raw::Raw;
use crate::support::server::Server;

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const SLOW: &str = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";

/// A request to `/slow`, which lasts until the test ends it. `/` says whether there is one.
struct Slow {
    is_there: AtomicBool,
    gate: Semaphore,
}

impl Slow {
    async fn answer(&self) -> &'static str {
        self.is_there.store(true, Ordering::SeqCst);
        // It fails when it is closed, which is how it opens.
        let _ = self.gate.acquire().await;
        self.is_there.store(false, Ordering::SeqCst);
        "slow"
    }

    async fn begun(&self) {
        eventually("it is served", || async {
            self.is_there.load(Ordering::SeqCst)
        })
        .await;
    }

    fn end(&self) {
        self.gate.close();
    }
}

async fn server(options: Options) -> (Server, Arc<Slow>) {
    let slow = Arc::new(Slow {
        is_there: AtomicBool::new(false),
        gate: Semaphore::new(0),
    });
    let (held, seen) = (Arc::clone(&slow), Arc::clone(&slow));
    let here = async move || match seen.is_there.load(Ordering::SeqCst) {
        true => "beside",
        false => "alone",
    };
    let router = Router::new()
        .route("/", get(here))
        .route("/slow", get(async move || held.answer().await));
    (Server::plain(router, options).await, slow)
}

async fn answered(raw: &mut Raw) {
    raw.send(GET).await;
    assert!(raw.response().await.starts_with("http/1.1 200"));
}

#[tokio::test]
async fn the_idlest_connection_makes_room() {
    for options in [
        Options {
            max_connections: 4,
            ..Options::default()
        },
        Options {
            max_connections_per_address: 4,
            ..Options::default()
        },
    ] {
        let (server, slow) = server(options).await;
        let mut rests = Raw::connect(server.address).await;
        answered(&mut rests).await;
        let mut busy = Raw::connect(server.address).await;
        busy.send(SLOW).await;
        slow.begun().await;
        // Silent ones, one with half of a request; more of them than there are places.
        let mut silent = Vec::new();
        for beginning in ["", "GET / HT", "", "GET /", ""] {
            let mut raw = Raw::connect(server.address).await;
            raw.send(beginning).await;
            silent.push(raw);
        }
        // A neighbour at the same address gets in, again and again.
        for _ in 0..5 {
            answered(&mut Raw::connect(server.address).await).await;
        }
        slow.end();
        assert!(
            busy.response().await.ends_with("slow"),
            "who is served stays"
        );
        assert!(silent[0].closes_within(Duration::from_secs(10)).await);
    }
}

#[tokio::test]
async fn a_connection_waits_while_all_others_are_busy() {
    let (server, slow) = server(Options {
        max_connections: 1,
        ..Options::default()
    })
    .await;
    let mut busy = Raw::connect(server.address).await;
    busy.send(SLOW).await;
    slow.begun().await;
    let mut second = Raw::connect(server.address).await;
    second.send(GET).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.0.peek(&mut byte));
    assert!(early.await.is_err(), "it is answered beside the other");
    slow.end();
    assert!(busy.response().await.ends_with("slow"));
    assert!(second.response().await.ends_with("alone"));
}

#[tokio::test]
async fn idle_connections_do_not_block_the_admin_port() {
    let listener = listen::bind("127.0.0.1", 0, "--admin-port", "ADMIN_PORT")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::manual();
    let health = Health::new("crowds");
    let served = tokio::spawn(admin::serve(
        listener,
        admin::Access::default(),
        health,
        Router::new(),
        shutdown.clone(),
    ));
    chassis::descriptors::raise();
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(Raw::connect(address).await);
    }
    let mut probe = Raw::connect(address).await;
    probe.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(probe.response().await.starts_with("http/1.1 200"));
    shutdown.trigger();
    served.await.unwrap().unwrap();
}

/// More idle connections than the process has descriptors for.
#[tokio::test]
async fn idle_connections_beyond_the_descriptors_stop_nobody() {
    chassis::descriptors::raise();
    let program = hello::command();
    let mut command = std::process::Command::new("sh");
    command
        .env_clear()
        .arg("-c")
        .arg("ulimit -n 160 && exec \"$0\" --http-port 0 --admin-port 0")
        .arg(program.get_program())
        .stdin(Stdio::null());
    let mut hello = hello::Hello::of(command);
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(Raw::connect(hello.http).await);
    }
    for address in [hello.admin, hello.http] {
        let mut probe = Raw::connect(address).await;
        probe
            .send("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
        let answer = probe.rest().await;
        assert!(
            answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 404"),
            "{answer}"
        );
    }
    let admin = hello.admin;
    eventually("it is ready", || async move {
        let mut probe = Raw::connect(admin).await;
        probe
            .send("GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
        probe.rest().await.starts_with("HTTP/1.1 200")
    })
    .await;
    hello.child.kill().unwrap();
    let mut log = String::new();
    std::io::Read::read_to_string(hello.child.stderr.as_mut().unwrap(), &mut log).unwrap();
    assert!(log.contains("few open files are allowed"), "{log}");
}
