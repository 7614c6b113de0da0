//! The service's settings: flags and environment.

use std::time::Duration;

use chassis::config;
use clap::Parser;
use client::{Address, ClientConfig, Peer};
use messaging::args::KafkaArgs;
use outbox::OutboxArgs;

use crate::{NAME, events::PlacedVersions, housekeeping::Retention};

/// The default maximum of connections to the database. More than that of the other services: each order waits until its
/// commit is on disk, and commits that wait at the same time share a flush.
const MAX_CONNECTIONS: &str = "20";

/// The default settings for calls to other services: shorter than our own callers wait for us (3 s), so that they still
/// get our error.
const INSIDE: &str = "deadline=2s,attempt=1s";

/// Orders and their saga, served over REST.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "orders",
    version,
    mut_arg("database_max_connections", |arg| arg.default_value(MAX_CONNECTIONS))
)]
pub struct Config {
    /// The settings of every service.
    #[command(flatten)]
    pub service: config::Service,
    /// The limits of requests.
    #[command(flatten)]
    pub server: config::Server,
    /// The limits of event streams.
    #[command(flatten)]
    pub streams: config::Streams,
    /// Where orders are kept.
    #[command(flatten)]
    pub database: config::Database,
    /// Where orders are announced, and stock decisions.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How events leave.
    #[command(flatten)]
    pub outbox: OutboxArgs,

    /// Port of the REST door; 0 takes any free one
    #[arg(long, env = "HTTP_PORT", default_value_t = 8081)]
    pub http_port: u16,
    /// Port of /livez, /readyz and /metrics; 0 takes any free one
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8091)]
    pub admin_port: u16,

    /// Where users is: the keys that tokens are checked with
    #[arg(long, env = "USERS_URL", default_value = "http://127.0.0.1:50051")]
    pub users_url: Address,
    /// How users is called
    #[arg(long, env = "USERS_CLIENT", default_value = INSIDE, value_parser = ClientConfig::over(INSIDE), long_help = client::SETTINGS)]
    pub users_client: ClientConfig,
    /// Where the catalogue is: what things cost
    #[arg(
        long,
        env = "PRODUCTS_GRPC_URL",
        default_value = "http://127.0.0.1:50052"
    )]
    pub products_grpc_url: Address,
    /// How the catalogue is called
    #[arg(long, env = "PRODUCTS_GRPC_CLIENT", default_value = INSIDE, value_parser = ClientConfig::over(INSIDE), long_help = client::SETTINGS)]
    pub products_grpc_client: ClientConfig,

    /// In which versions `agora.order.placed` is published: the old one, both while consumers change over, or the new one
    #[arg(long, env = "ORDER_PLACED_VERSIONS", value_enum, default_value_t = PlacedVersions::V1)]
    pub order_placed_versions: PlacedVersions,
    /// How long an order may wait for its stock before it is asked for again; the wait doubles each
    /// time, up to ten minutes, and is never below 100 ms
    #[arg(long, env = "SAGA_DEADLINE", default_value = "30s", value_parser = config::duration)]
    pub saga_deadline: Duration,
    /// How long after its confirmation an order can be cancelled
    #[arg(long, env = "CANCEL_WINDOW", default_value = "1h", value_parser = config::duration)]
    pub cancel_window: Duration,
    /// The time between two comments on a stream of events that has nothing else to say: shorter than whatever closes idle
    /// connections on the way
    #[arg(long, env = "EVENTS_HEARTBEAT", default_value = "15s", value_parser = config::positive_duration)]
    pub events_heartbeat: Duration,
    /// How long an answer is kept for whoever asks again with the same Idempotency-Key
    #[arg(long, env = "IDEMPOTENCY_RETENTION", default_value = "24h", value_parser = config::duration)]
    pub idempotency_retention: Duration,
    /// How long handled events are remembered: longer than Kafka keeps them, else one that is delivered
    /// again counts twice
    #[arg(long, env = "INBOX_RETENTION", default_value = "192h", value_parser = config::duration)]
    pub inbox_retention: Duration,
}

impl Config {
    /// The users service, which publishes keys.
    #[must_use]
    pub fn users(&self) -> Peer {
        Peer::new("users", self.users_url.clone(), self.users_client.clone()).called_by(NAME)
    }

    /// The products service, which knows prices.
    #[must_use]
    pub fn products(&self) -> Peer {
        let (url, client) = (
            self.products_grpc_url.clone(),
            self.products_grpc_client.clone(),
        );
        Peer::new("products", url, client).called_by(NAME)
    }

    /// The retention periods of stored data.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            idempotency_keys: self.idempotency_retention,
            inbox: self.inbox_retention,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_public_face() {
        let arguments = [
            "orders",
            "--database-url",
            "postgres://u:p@127.0.0.1/orders",
        ];
        let config: Config = config::try_from_args(arguments).unwrap();
        assert_eq!((config.http_port, config.admin_port), (8081, 8091));
        assert_eq!(config.users_url.to_string(), "http://127.0.0.1:50051");
        assert_eq!(
            config.products_grpc_url.to_string(),
            "http://127.0.0.1:50052"
        );
        assert_eq!(config.saga_deadline, Duration::from_secs(30));
        assert_eq!(config.cancel_window, Duration::from_secs(3600));
        assert_eq!(config.idempotency_retention, Duration::from_secs(24 * 3600));
        assert_eq!(config.database.max_connections, 20);
        // One event an order, and one that every consumer knows.
        assert_eq!(config.order_placed_versions, PlacedVersions::V1);
        assert_eq!(config.events_heartbeat, Duration::from_secs(15));
    }
}
