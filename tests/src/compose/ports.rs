//! Free ports on this machine.

use std::net::{Ipv4Addr, TcpListener};

use rand::Rng;

/// Below the ports that the kernel gives to outgoing connections: the load of the scenarios must not take
/// the port of a container that is just being restarted.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
/// How many are looked at before giving up.
const TRIES: usize = 1000;

/// Where the containers can be reached on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) gateway: u16,
    pub(super) observatory: u16,
    pub(super) mailpit: u16,
    pub(super) postgres: u16,
    pub(super) kafka: u16,
    pub(super) rabbitmq: u16,
    pub(super) rabbitmq_management: u16,
    pub(super) prometheus: u16,
}

impl Ports {
    /// Ports that nobody listens on at this moment, all different.
    pub(super) fn free() -> Self {
        let mut held = Vec::new();
        let mut next = || {
            let mut random = rand::rng();
            for _ in 0..TRIES {
                let port = random.random_range(RANGE);
                // All addresses: that is where a published port is bound.
                if let Ok(listener) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
                    held.push(listener);
                    return port;
                }
            }
            panic!("no free port in {RANGE:?}");
        };
        Self {
            gateway: next(),
            observatory: next(),
            mailpit: next(),
            postgres: next(),
            kafka: next(),
            rabbitmq: next(),
            rabbitmq_management: next(),
            prometheus: next(),
        }
    }

    /// The variables of `.env.example` that say so.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        [
            ("GATEWAY_PORT", self.gateway),
            ("OBSERVATORY_PORT", self.observatory),
            ("MAILPIT_PORT", self.mailpit),
            ("POSTGRES_PORT", self.postgres),
            ("KAFKA_PORT", self.kafka),
            ("RABBITMQ_PORT", self.rabbitmq),
            ("RABBITMQ_MANAGEMENT_PORT", self.rabbitmq_management),
            ("PROMETHEUS_PORT", self.prometheus),
        ]
        .map(|(name, port)| (name.to_owned(), port.to_string()))
        .into()
    }
}
