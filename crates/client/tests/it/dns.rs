//! A name server of our own, whose answers a test changes as it likes.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::net::UdpSocket;

/// What it answers.
#[derive(Default)]
struct Zone {
    records: HashMap<(String, RecordType), Vec<Record>>,
    /// Questions that fail.
    failing: HashSet<(String, RecordType)>,
    is_mute: bool,
    queries: usize,
}

/// A name server on 127.0.0.1, over UDP.
#[derive(Clone)]
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl NameServer {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
        };
        let zone = server.zone.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let Some(answer) = answer(&mut zone.lock(), query) else {
                    continue;
                };
                let _ = socket.send_to(&answer.to_vec().unwrap(), from).await;
            }
        });
        server
    }

    /// From now on `name` has these addresses; none: it exists and has none.
    pub(crate) fn set_addresses(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        let of = |is_v4: bool| addresses.iter().filter(move |ip| ip.is_ipv4() == is_v4);
        let data =
            |ips: &mut dyn Iterator<Item = &IpAddr>| ips.map(|ip| RData::from(*ip)).collect();
        self.set(name, RecordType::A, ttl, data(&mut of(true)));
        self.set(name, RecordType::AAAA, ttl, data(&mut of(false)));
    }

    /// From now on the service `name` is at these (priority, port, host).
    pub(crate) fn set_service(&self, name: &str, ttl: u32, targets: &[(u16, u16, &str)]) {
        let data = targets.iter().map(|(priority, port, host)| {
            RData::SRV(SRV::new(
                *priority,
                1,
                *port,
                Name::from_ascii(host).unwrap(),
            ))
        });
        self.set(name, RecordType::SRV, ttl, data.collect());
    }

    /// From now on this question about `name` fails, and no other one.
    pub(crate) fn fail(&self, name: &str, kind: RecordType) {
        let key = (format!("{name}."), kind);
        self.zone.lock().failing.insert(key);
    }

    /// Whether it answers nothing at all.
    pub(crate) fn be_mute(&self, is_mute: bool) {
        self.zone.lock().is_mute = is_mute;
    }

    pub(crate) fn queries(&self) -> usize {
        self.zone.lock().queries
    }

    fn set(&self, name: &str, kind: RecordType, ttl: u32, data: Vec<RData>) {
        let owner = Name::from_ascii(format!("{name}.")).unwrap();
        let records = data
            .into_iter()
            .map(|data| Record::from_rdata(owner.clone(), ttl, data))
            .collect();
        let key = (owner.to_ascii(), kind);
        self.zone.lock().records.insert(key, records);
    }
}

fn answer(zone: &mut Zone, mut message: Message) -> Option<Message> {
    zone.queries += 1;
    if zone.is_mute {
        return None;
    }
    let question = &message.queries[0];
    let key = (
        question.name().to_ascii().to_lowercase(),
        question.query_type(),
    );
    match zone.records.get(&key) {
        _ if zone.failing.contains(&key) => {
            message.metadata.response_code = ResponseCode::ServFail;
        }
        Some(records) => message.answers = records.clone(),
        None => message.metadata.response_code = ResponseCode::NXDomain,
    }
    message.metadata.message_type = MessageType::Response;
    Some(message)
}
