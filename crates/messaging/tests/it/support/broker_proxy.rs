//! A proxy in front of a broker: it counts what is asked, can hide the newer protocol of consumer groups, and can leave a kind of
//! request without an answer.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The number of a kind of request in Kafka's protocol.
pub(crate) type Kind = u16;
/// Commits offsets.
pub(crate) const OFFSET_COMMIT: Kind = 8;
/// Joins a group by the classic protocol.
pub(crate) const JOIN_GROUP: Kind = 11;
/// Joins a group by the newer protocol, and stays in it.
pub(crate) const CONSUMER_GROUP_HEARTBEAT: Kind = 68;

/// How a broker lists the request `ConsumerGroupHeartbeat` in version 1, and an entry that no client looks for.
const HEARTBEAT: [u8; 6] = [0, 68, 0, 1, 0, 1];
const UNKNOWN: [u8; 6] = [0x75, 0x30, 0, 1, 0, 1];
const HOST: &[u8] = b"127.0.0.1";

/// Runs until the test's runtime ends.
pub(crate) struct BrokerProxy {
    /// Where clients find it.
    pub(crate) address: String,
    asked: Asked,
    swallowed: Swallowed,
}

type Asked = Arc<Mutex<HashMap<Kind, usize>>>;
type Swallowed = Arc<Mutex<HashSet<Kind>>>;

/// Which protocols of consumer groups the proxy lets clients see.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shows {
    Both,
    Classic,
}

impl BrokerProxy {
    /// Starts one for the broker at `address`.
    pub(crate) async fn start(address: &str, shows: Shows) -> Self {
        let broker: SocketAddr = address.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let (asked, swallowed) = (Asked::default(), Swallowed::default());
        let (counted, kept) = (Arc::clone(&asked), Arc::clone(&swallowed));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Gone with the test.
                let Ok(broker_link) = TcpStream::connect(broker).await else {
                    return;
                };
                let (from_client, to_client) = client.into_split();
                let (from_broker, to_broker) = broker_link.into_split();
                let (counted, kept) = (Arc::clone(&counted), Arc::clone(&kept));
                tokio::spawn(questions(from_client, to_broker, counted, kept));
                let ports = [broker.port(), proxy.port()];
                tokio::spawn(answers(from_broker, to_client, shows, ports));
            }
        });
        Self {
            address: proxy.to_string(),
            asked,
            swallowed,
        }
    }

    /// Takes requests of this kind from now on and passes none on, so that they get no answer.
    pub(crate) fn swallow(&self, kind: Kind) {
        self.swallowed.lock().insert(kind);
    }

    /// How often this was asked.
    pub(crate) fn asked(&self, kind: Kind) -> usize {
        self.asked.lock().get(&kind).copied().unwrap_or_default()
    }
}

/// Passes on each request that is not swallowed.
async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: Asked,
    swallowed: Swallowed,
) {
    while let Some(question) = frame(&mut from).await {
        let kind = Kind::from_be_bytes([question[0], question[1]]);
        // Counted first: what is counted after a call of `swallow` was swallowed.
        *asked.lock().entry(kind).or_default() += 1;
        if swallowed.lock().contains(&kind) {
            continue;
        }
        if send(&mut to, &question).await.is_err() {
            return;
        }
    }
}

/// Passes on each answer: without what it shall not show, and with the proxy's address for the broker's, which clients would
/// else connect to.
async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shows: Shows,
    [port, own_port]: [u16; 2],
) {
    let address = |port: u16| [HOST, &u32::from(port).to_be_bytes()].concat();
    while let Some(mut answer) = frame(&mut from).await {
        if shows == Shows::Classic {
            replace(&mut answer, &HEARTBEAT, &UNKNOWN);
        }
        replace(&mut answer, &address(port), &address(own_port));
        if send(&mut to, &answer).await.is_err() {
            return;
        }
    }
}

async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut bytes = vec![0; from.read_u32().await.ok()? as usize];
    from.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn send(to: &mut OwnedWriteHalf, bytes: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(bytes.len()).unwrap();
    to.write_all(&[&length.to_be_bytes(), bytes].concat()).await
}

/// Both have the same length.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    for at in 0..(bytes.len() + 1).saturating_sub(old.len()) {
        if bytes[at..].starts_with(old) {
            bytes[at..at + old.len()].copy_from_slice(new);
        }
    }
}
