//! A broker that does not know the newer protocol of consumer groups: a proxy in front of one that does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// How a broker lists the request `ConsumerGroupHeartbeat` in version 1, and an entry that no client looks for.
const HEARTBEAT: [u8; 6] = [0, 68, 0, 1, 0, 1];
const UNKNOWN: [u8; 6] = [0x75, 0x30, 0, 1, 0, 1];
const HOST: &[u8] = b"127.0.0.1";

/// Starts a proxy for the broker at `address`, until the test's runtime ends. Returns its own address.
pub(crate) async fn in_front_of(address: &str) -> String {
    let broker: SocketAddr = address.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // Gone with the test.
            let Ok(broker_link) = TcpStream::connect(broker).await else {
                return;
            };
            let (mut from_client, to_client) = client.into_split();
            let (from_broker, mut to_broker) = broker_link.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_broker).await });
            tokio::spawn(answers(from_broker, to_client, broker.port(), proxy.port()));
        }
    });
    proxy.to_string()
}

/// Passes on each answer: without the request that it shall not know, and with the proxy's address for the broker's, which
/// clients would else connect to.
async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, port: u16, own_port: u16) {
    let address = |port: u16| [HOST, &u32::from(port).to_be_bytes()].concat();
    while let Ok(length) = from.read_u32().await {
        let mut answer = vec![0; length as usize];
        if from.read_exact(&mut answer).await.is_err() {
            return;
        }
        replace(&mut answer, &HEARTBEAT, &UNKNOWN);
        replace(&mut answer, &address(port), &address(own_port));
        let framed = [&length.to_be_bytes(), &answer[..]].concat();
        if to.write_all(&framed).await.is_err() {
            return;
        }
    }
}

/// Both have the same length.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    for at in 0..(bytes.len() + 1).saturating_sub(old.len()) {
        if bytes[at..].starts_with(old) {
            bytes[at..at + old.len()].copy_from_slice(new);
        }
    }
}
