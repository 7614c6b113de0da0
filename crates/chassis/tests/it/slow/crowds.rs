//! Connections that do nothing make room for those that do.

use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::health::Health;
use chassis::http::Options;
use chassis::{Shutdown, admin, listen};

use crate::support::eventually;
use crate::support::hello;
use crate::support::raw::Raw;
use crate::support::server::Server;

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn server(options: Options) -> Server {
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        "slow"
    };
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/slow", get(slow));
    Server::plain(router, options).await
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
        let server = server(options).await;
        let mut rests = Raw::connect(server.address).await;
        answered(&mut rests).await;
        let mut busy = Raw::connect(server.address).await;
        busy.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
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
        assert!(
            busy.response().await.ends_with("slow"),
            "who is served stays"
        );
        assert!(silent[0].closes_within(Duration::from_secs(10)).await);
    }
}

#[tokio::test]
async fn a_connection_waits_while_all_others_are_busy() {
    let server = server(Options {
        max_connections: 1,
        ..Options::default()
    })
    .await;
    let mut busy = Raw::connect(server.address).await;
    busy.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut second = Raw::connect(server.address).await;
    answered(&mut second).await;
    assert!(busy.response().await.ends_with("slow"));
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
