//! What the service can be told, by flag or by environment variable.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Fatal, config, db};
use clap::{ArgAction, Parser};
use client::{Address, ClientConfig, Peer};
use messaging::kafka::{KafkaConfig, ParkIn};
use messaging::pg_queue::PgQueue;
use outbox::RelayOptions;

use crate::NAME;

/// Connections to the database that keeps dead letters, if one does: to park, and to look for what was sent again.
const DEAD_LETTER_CONNECTIONS: u32 = 2;

/// How other services are called unless the configuration says otherwise: shorter than our own callers wait for us
/// (3 s), so that they hear what we say of it.
const INSIDE: &str = "deadline=2s,attempt=1s";

/// The catalogue, stock and reservations: REST to browse, gRPC for services.
#[derive(Debug, Clone, Parser)]
#[command(name = "products", version)]
pub struct Config {
    /// What every service can be told.
    #[command(flatten)]
    pub service: config::Service,
    /// What bounds a request.
    #[command(flatten)]
    pub door: config::Door,
    /// Where the catalogue is kept.
    #[command(flatten)]
    pub database: config::Database,
    /// Where orders are announced, and stock decisions.
    #[command(flatten)]
    pub kafka: config::Kafka,
    /// How events leave.
    #[command(flatten)]
    pub outbox: config::Outbox,

    /// Port of the REST door; 0 takes any free one
    #[arg(long, env = "HTTP_PORT", default_value_t = 8082)]
    pub http_port: u16,
    /// Port of the gRPC door; 0 takes any free one
    #[arg(long, env = "GRPC_PORT", default_value_t = 50052)]
    pub grpc_port: u16,
    /// Port of /livez, /readyz and /metrics; 0 takes any free one
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8092)]
    pub admin_port: u16,

    /// Where users is: the keys that tokens are checked with
    #[arg(long, env = "USERS_URL", default_value = "http://127.0.0.1:50051")]
    pub users_url: Address,
    /// How users is called
    #[arg(long, env = "USERS_CLIENT", default_value = INSIDE, value_parser = ClientConfig::over(INSIDE), long_help = client::SETTINGS)]
    pub users_client: ClientConfig,

    /// How long handled events are remembered: longer than Kafka keeps them, else one that is delivered
    /// again counts twice
    #[arg(long, env = "INBOX_RETENTION", default_value = "192h", value_parser = config::duration)]
    pub inbox_retention: Duration,
    /// Put the demonstration's goods on the shelf at start, where they are missing
    #[arg(long, env = "CATALOGUE_SEED", default_value_t = true, action = ArgAction::Set)]
    pub catalogue_seed: bool,
}

impl Config {
    /// The users service, which publishes keys.
    #[must_use]
    pub fn users(&self) -> Peer {
        Peer::new("users", self.users_url.clone(), self.users_client.clone()).called_by(NAME)
    }

    /// The event stream.
    pub(crate) fn stream(&self) -> KafkaConfig {
        let stream = KafkaConfig::new(&self.kafka.kafka_brokers, NAME);
        KafkaConfig {
            fetch_wait: self.kafka.kafka_fetch_wait,
            ..stream.with_account(self.kafka.account())
        }
    }

    /// Where facts are parked that cannot be handled.
    pub(crate) fn park_in(&self) -> Result<ParkIn, Fatal> {
        Ok(match &self.kafka.dead_letters_database_url {
            Some(url) => {
                let pool = db::connect(url, DEAD_LETTER_CONNECTIONS, NAME)?;
                ParkIn::Queue(Arc::new(PgQueue::new(pool)))
            }
            None => ParkIn::Topic,
        })
    }

    /// How the outbox is emptied.
    pub(crate) fn relay(&self) -> RelayOptions {
        RelayOptions {
            poll: self.outbox.outbox_poll,
            replay_window: self.outbox.outbox_replay_window,
            ..RelayOptions::default()
        }
    }
}
