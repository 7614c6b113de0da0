//! The service's settings: flags and environment.

use std::time::Duration;

use chassis::config;
use clap::{ArgAction, Parser};
use client::{Address, ClientConfig, Peer};
use messaging::args::KafkaArgs;
use outbox::OutboxArgs;

use crate::NAME;

/// The default settings for calls to other services: shorter than our own callers wait for us (3 s), so that they still
/// get our error.
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
    pub server: config::Server,
    /// Where the catalogue is kept.
    #[command(flatten)]
    pub database: config::Database,
    /// Where orders are announced, and stock decisions.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How events leave.
    #[command(flatten)]
    pub outbox: OutboxArgs,

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
    /// The users service, which publishes the keys.
    #[must_use]
    pub fn users(&self) -> Peer {
        Peer::new("users", self.users_url.clone(), self.users_client.clone()).called_by(NAME)
    }
}
