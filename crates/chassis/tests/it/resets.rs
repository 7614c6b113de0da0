//! Calls that are cancelled before the server came to look at them, on a connection that carries the calls of many.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use chassis::http::Options;
use chassis::proxies::TrustedProxies;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::in_time;
use crate::support::server::Server;

// Of RFC 9113.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_OF_BOTH: u8 = 5;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// `GET /` of `http://test`, by HPACK's static table.
const GET: &[u8] = b"\x82\x84\x86\x41\x04test";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends so many calls, each with its cancellation, and one that is meant; all of it is there before the server looks.
/// Whether that one is answered: if not, the connection was ended.
async fn is_answered_behind(address: SocketAddr, cancelled: u32) -> bool {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let streams = (0..cancelled).map(|number| 2 * number + 1);
    for stream in streams {
        bytes.extend(frame(HEADERS, END_OF_BOTH, stream, GET));
        bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
    }
    let meant = 2 * cancelled + 1;
    bytes.extend(frame(HEADERS, END_OF_BOTH, meant, GET));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&bytes).await.unwrap();
    loop {
        let mut head = [0; 9];
        if client.read_exact(&mut head).await.is_err() {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match head[3] {
            GOAWAY => return false,
            HEADERS if stream == meant => return true,
            _ => {}
        }
        let mut payload = vec![0; length as usize];
        client.read_exact(&mut payload).await.unwrap();
    }
}

/// A gateway cancels the calls of callers who left. When the server is behind, many at once: that must not cost the
/// others, whose calls are on the same connection.
#[tokio::test]
async fn cancelled_calls_do_not_end_the_connection_of_others() {
    let options = Options {
        trusted_proxies: TrustedProxies::loopback(),
        ..Options::default()
    };
    let server = Server::plain(Router::new().route("/", get(|| async {})), options).await;
    for cancelled in [0, 200, 1000] {
        let answered = in_time(is_answered_behind(server.address, cancelled)).await;
        assert!(answered, "behind {cancelled}");
    }
    // There is a limit.
    assert!(!in_time(is_answered_behind(server.address, 2000)).await);
    server.stop().await;
}

/// Rapid reset (CVE-2023-44487): the calls of a connection from outside are those of one client.
#[tokio::test]
async fn a_stranger_s_cancelled_calls_end_its_connection() {
    let server = Server::standard(Router::new().route("/", get(|| async {}))).await;
    assert!(in_time(is_answered_behind(server.address, 0)).await);
    assert!(!in_time(is_answered_behind(server.address, 200)).await);
    server.stop().await;
}
