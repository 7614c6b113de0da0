//! Free ports on this machine.

use crate::net;

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
            let listener = net::listen();
            let port = listener.local_addr().expect("an address").port();
            held.push(listener);
            port
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
