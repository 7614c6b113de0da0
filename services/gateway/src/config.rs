//! The gateway's settings: flags and environment.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chassis::admin::{AdminToken, HostName};
use chassis::config::{Server, Service, Streams, duration, positive_duration};
use clap::{ArgAction, Parser};
use client::{Address, ClientConfig, Peer};

use crate::NAME;
use crate::graphql;
use crate::limits::Limiter;
use crate::limits::calls::Prefixes;
use crate::limits::layer::Limits;
use crate::limits::lines::Lines;
use crate::limits::waiting::{WAITING_MAX, Waiting};
use crate::routes::Routes;
use crate::versions::Version;

/// The default settings for calls to the services behind. An attempt is longer than those services wait for theirs (2 s) and
/// for their databases ([`chassis::db::ACQUIRE_TIMEOUT`]), so that the gateway still gets their error.
const BEHIND: &str = "deadline=5s,attempt=3s";
/// The default maximum of requests in progress. More than that of the services behind, since most requests wait for one of
/// them, and a slow service must not use up the places for the others.
const MAX_IN_FLIGHT: &str = "2048";

/// Agora's gateway: the only public door. REST for everybody, passed on to the services behind it.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "gateway",
    version,
    mut_arg("max_in_flight", |arg| arg.default_value(MAX_IN_FLIGHT)),
    // The outer door: every peer is a client unless a proxy is configured.
    mut_arg("trusted_proxies", |arg| arg.default_value("none"))
)]
pub struct Config {
    /// The settings of every service.
    #[command(flatten)]
    pub service: Service,

    /// The limits of requests.
    #[command(flatten)]
    pub server: Server,

    /// The limits of event streams.
    #[command(flatten)]
    pub streams: Streams,

    /// Port of the public API; 0 takes any free one.
    #[arg(long, env = "HTTP_PORT", default_value_t = 8080)]
    pub http_port: u16,

    /// Port of /livez, /readyz and /metrics; 0 takes any free one.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8090)]
    pub admin_port: u16,

    /// Where users is (gRPC).
    #[arg(long, env = "USERS_URL", default_value = "http://127.0.0.1:50051")]
    pub users_url: Address,

    /// How users is called.
    #[arg(long, env = "USERS_CLIENT", default_value = BEHIND, value_parser = ClientConfig::over(BEHIND), long_help = client::SETTINGS)]
    pub users_client: ClientConfig,

    /// Where orders is (REST).
    #[arg(long, env = "ORDERS_URL", default_value = "http://127.0.0.1:8081")]
    pub orders_url: Address,

    /// How orders is called.
    #[arg(long, env = "ORDERS_CLIENT", default_value = BEHIND, value_parser = ClientConfig::over(BEHIND), long_help = client::SETTINGS)]
    pub orders_client: ClientConfig,

    /// Where products is (REST).
    #[arg(long, env = "PRODUCTS_URL", default_value = "http://127.0.0.1:8082")]
    pub products_url: Address,

    /// How products is called.
    #[arg(long, env = "PRODUCTS_CLIENT", default_value = BEHIND, value_parser = ClientConfig::over(BEHIND), long_help = client::SETTINGS)]
    pub products_client: ClientConfig,

    /// Where the catalogue is: products by their ids (gRPC).
    #[arg(
        long,
        env = "PRODUCTS_GRPC_URL",
        default_value = "http://127.0.0.1:50052"
    )]
    pub products_grpc_url: Address,

    /// How the catalogue is called.
    #[arg(long, env = "PRODUCTS_GRPC_CLIENT", default_value = BEHIND, value_parser = ClientConfig::over(BEHIND), long_help = client::SETTINGS)]
    pub products_grpc_client: ClientConfig,

    /// Prefixes below /api and /api/v1 that are passed on as they are: /prefix=service:/path, separated by commas.
    #[arg(
        long,
        env = "GATEWAY_ROUTES",
        default_value = "/orders=orders:/v1/orders,/products=products:/v1/products"
    )]
    pub gateway_routes: Routes,

    /// The same for version 2, below /api/v2.
    #[arg(
        long,
        env = "GATEWAY_ROUTES_V2",
        default_value = "/orders=orders:/v2/orders,/products=products:/v2/products"
    )]
    pub gateway_routes_v2: Routes,

    /// Where the observatory is; unset: there is no /observatory. For machines of one's own: it shows what everybody does, and has
    /// switches that break things.
    #[arg(long, env = "OBSERVATORY_URL")]
    pub observatory_url: Option<Address>,

    /// Names or addresses, separated by commas, under which /observatory is there, beside localhost. With one that others can call, it
    /// is for administrators.
    #[arg(
        long,
        env = "OBSERVATORY_HOSTS",
        value_name = "HOSTS",
        value_delimiter = ','
    )]
    pub observatory_hosts: Vec<HostName>,

    /// The OBSERVATORY_TOKEN of the observatory, which it has where it is not on the loopback.
    #[arg(
        long,
        env = "OBSERVATORY_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub observatory_token: Option<AdminToken>,

    /// How long one part of the dashboard may take before it is left out.
    #[arg(long, env = "DASHBOARD_DEADLINE", default_value = "2s", value_parser = duration)]
    pub dashboard_deadline: Duration,

    /// How long all the calls of one GraphQL query or mutation may take together. What has not come by then is null, with an error.
    #[arg(long, env = "GRAPHQL_DEADLINE", default_value = "5s", value_parser = duration)]
    pub graphql_deadline: Duration,

    /// Whether GraphQL answers questions about its schema, which the console asks.
    #[arg(long, env = "GRAPHQL_INTROSPECTION", default_value_t = true, action = ArgAction::Set)]
    pub graphql_introspection: bool,

    /// How long a client may take to say who it is once it has opened a socket for GraphQL.
    #[arg(long, env = "GRAPHQL_INIT_TIMEOUT", default_value = "3s", value_parser = positive_duration)]
    pub graphql_init_timeout: Duration,

    /// How long such a socket may be open while nothing is subscribed to on it. Each has a place among the streams.
    #[arg(long, env = "GRAPHQL_IDLE_TIMEOUT", default_value = "1m", value_parser = positive_duration)]
    pub graphql_idle_timeout: Duration,

    /// How often a client of such a socket is asked whether it is there; who has said nothing since the last time is gone.
    /// Shorter than what any proxy takes for idle.
    #[arg(long, env = "GRAPHQL_HEARTBEAT", default_value = "15s", value_parser = positive_duration)]
    pub graphql_heartbeat: Duration,

    /// Requests per second of one client, and how many it may send at once; 0 turns the limit off.
    #[arg(long, env = "RATE_LIMIT", default_value_t = 10_000)]
    pub rate_limit: u32,

    /// How many requests of one client for one part of the API are worked on at once, and how many calls to one service behind
    /// are made for it, however it asks for them; more of them wait for their turn. A quarter of what the services behind take
    /// at a time, so that whoever asks for much at once leaves room for the others. A client has them while its answers are
    /// small: at first a quarter, and as few as a sixteenth if they are large. All clients at one
    /// address, or in one /48 of IPv6, together get one more only while they hold fewer than are free of four times this number:
    /// of the calls to a service, and of all requests that the gateway answers itself.
    #[arg(long, env = "CLIENT_PLACES", default_value = "64",
          value_parser = clap::value_parser!(NonZeroU32))]
    pub client_places: NonZeroU32,
}

impl Config {
    /// The users service.
    #[must_use]
    pub fn users(&self) -> Peer {
        Peer::new("users", self.users_url.clone(), self.users_client.clone()).called_by(NAME)
    }

    /// The orders service.
    #[must_use]
    pub fn orders(&self) -> Peer {
        let (url, client) = (self.orders_url.clone(), self.orders_client.clone());
        Peer::new("orders", url, client).called_by(NAME)
    }

    /// The products service.
    #[must_use]
    pub fn products(&self) -> Peer {
        let (url, client) = (self.products_url.clone(), self.products_client.clone());
        Peer::new("products", url, client).called_by(NAME)
    }

    /// The products service over gRPC. A separate peer, since its failures say nothing about browsing.
    #[must_use]
    pub fn catalog(&self) -> Peer {
        let (url, client) = (
            self.products_grpc_url.clone(),
            self.products_grpc_client.clone(),
        );
        Peer::new("products-grpc", url, client).called_by(NAME)
    }

    /// The prefix routes of each version of the API, oldest first.
    #[must_use]
    pub fn versions(&self) -> [(Version, &Routes); 2] {
        [
            (Version::V1, &self.gateway_routes),
            (Version::V2, &self.gateway_routes_v2),
        ]
    }

    /// The observatory, if one is configured. It is called without retries and without a breaker. Its deadline is long, since a
    /// switch that stops a service takes as long as the service does.
    pub(crate) fn observatory(&self) -> Option<Peer> {
        let config = "deadline=10s,attempt=10s,retries=0,breaker=off,bulkhead=32+32/1s";
        let config = config.parse().expect("a valid configuration");
        let url = self.observatory_url.clone()?;
        Some(Peer::new("observatory", url, config).called_by(NAME))
    }

    pub(crate) fn graphql(&self) -> graphql::Settings {
        graphql::Settings {
            introspection: self.graphql_introspection,
            deadline: self.graphql_deadline,
            init_timeout: self.graphql_init_timeout,
            idle_timeout: self.graphql_idle_timeout,
            heartbeat: self.graphql_heartbeat,
        }
    }

    /// The limits of each client, with full budgets.
    pub(crate) fn limits(&self) -> Limits {
        let rate = NonZeroU32::new(self.rate_limit);
        Limits {
            requests: rate.map(|rate| Arc::new(Limiter::per_second("requests", rate))),
            turns: Arc::new(Lines::of_requests(self.client_places)),
            calls: Arc::new(Lines::of_calls(self.client_places)),
            waiting: Arc::new(Waiting::new(WAITING_MAX)),
            passed_on: Prefixes::of(&self.versions()),
            proxies: self.server.trusted_proxies.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sites share the places of each line (ADR 55), and no line has so many that all together are all places in progress.
    #[test]
    fn all_lines_together_leave_places_in_progress() {
        // Of what the gateway answers itself, of orders and of products; four clients' places in each.
        const LINES: u32 = 3;
        const CLIENTS: u32 = 4;
        let config: Config = chassis::config::try_from_args(["gateway"]).unwrap();
        let shared = LINES * CLIENTS * config.client_places.get();
        let places = config.server.max_in_flight;
        assert!(shared < places, "{shared} of {places}");
    }

    #[test]
    fn what_a_service_behind_says_of_its_database_is_heard() {
        let behind: ClientConfig = BEHIND.parse().unwrap();
        let answers = chassis::db::ACQUIRE_TIMEOUT + Duration::from_millis(500);
        assert!(behind.attempt >= answers, "{:?}", behind.attempt);
    }
}
