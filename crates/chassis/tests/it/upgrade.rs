//! Connections that change their protocol: they go on counting, and end.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Response, StatusCode, header};
use axum::routing::get;
use chassis::http::{Options, Unfinished};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::raw::Raw;
use crate::support::server::Server;

const UPGRADE: &str =
    "GET /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Repeats what it is told until the connection ends, in a task that nobody waits for. Below `/whole`, each byte is a message.
async fn echo(mut request: Request) -> Response<String> {
    let is_whole = request.uri().path() == "/whole";
    let unfinished = request.extensions_mut().remove::<Unfinished>().unwrap();
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().unwrap();
    tokio::spawn(async move {
        let mut socket = TokioIo::new(upgrade.await.unwrap());
        let mut byte = [0];
        while matches!(socket.read(&mut byte).await, Ok(1)) {
            if is_whole {
                unfinished.is_whole();
            }
            socket.write_all(&byte).await.unwrap();
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo")
        .body(String::new())
        .unwrap()
}

async fn server(options: Options) -> Server {
    let router = Router::new()
        .route("/echo", get(echo))
        .route("/whole", get(echo))
        .route("/", get(|| async { "here" }));
    Server::plain(router, options).await
}

async fn upgraded(server: &Server) -> Raw {
    upgraded_by(server, UPGRADE).await
}

async fn upgraded_by(server: &Server, request: &str) -> Raw {
    let mut raw = Raw::connect(server.address).await;
    raw.send(request).await;
    assert!(raw.response().await.starts_with("http/1.1 101"));
    says(&mut raw).await;
    raw
}

async fn says(raw: &mut Raw) {
    raw.send("x").await;
    let mut byte = [0];
    raw.0.read_exact(&mut byte).await.unwrap();
}

#[tokio::test]
async fn it_is_one_of_its_address_and_never_idle() {
    let server = server(Options {
        max_connections_per_address: 2,
        max_requests_per_address: 1,
        ..Options::default()
    })
    .await;
    let mut first = upgraded(&server).await;
    let mut second = upgraded(&server).await;
    let mut third = Raw::connect(server.address).await;
    third.send(GET).await;
    assert!(
        third.closes_within(Duration::from_secs(10)).await,
        "both are busy"
    );
    for raw in [&mut first, &mut second] {
        says(raw).await;
    }
    drop(first);
    // Once the server has seen that it is gone; the one that is left is no request under way.
    let served = async {
        loop {
            let mut raw = Raw::connect(server.address).await;
            raw.send(GET).await;
            if raw.0.read(&mut [0]).await.is_ok_and(|read| read == 1) {
                return;
            }
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, served)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_server_waits_for_it_and_then_cuts_it_off() {
    let patient = server(Options::with_deadline(Duration::from_secs(60))).await;
    let mut raw = upgraded(&patient).await;
    patient.shutdown.trigger();
    says(&mut raw).await;
    assert!(!patient.served.is_finished());
    drop(raw);
    patient.stop().await;

    let server = server(Options::with_deadline(Duration::from_millis(300))).await;
    let mut raw = upgraded(&server).await;
    server.stop().await;
    assert!(raw.closes_within(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_place_is_given_back_when_it_ends() {
    let server = server(Options {
        max_connections: 1,
        ..Options::default()
    })
    .await;
    let mut raw = upgraded(&server).await;
    let mut waits = Raw::connect(server.address).await;
    waits.send(GET).await;
    assert!(!waits.closes_within(Duration::from_millis(100)).await);
    says(&mut raw).await;
    drop(raw);
    assert!(waits.response().await.ends_with("here"));
}

/// Whoever reads messages keeps what has come of them, as of heads.
#[tokio::test]
async fn unfinished_messages_of_an_address_are_bounded_in_bytes() {
    // The fewest bytes that count: what a connection reads into.
    const COUNTED: usize = 8 * 1024;
    let server = server(Options {
        max_head_bytes_per_address: 4 * COUNTED,
        ..Options::default()
    })
    .await;
    let mut whole = Vec::new();
    let mut unfinished = Vec::new();
    for _ in 0..5 {
        whole.push(upgraded_by(&server, &UPGRADE.replace("/echo", "/whole")).await);
        unfinished.push(upgraded(&server).await);
    }
    let mut longest = unfinished.remove(0);
    assert!(longest.closes_within(Duration::from_secs(10)).await);
    for raw in whole.iter_mut().chain(&mut unfinished) {
        says(raw).await;
    }
}
