//! What the gateway is told from outside.

use std::num::NonZeroU32;
use std::time::Duration;

use chassis::config::{Door, Service, duration};
use clap::Parser;
use client::parse_url;
use url::Url;

use crate::routes::Routes;

/// The most requests in progress when nothing else is said. More than the default of the services behind: most
/// of these wait for one of them, and one that is slow must not use up the places for the others.
const MAX_IN_FLIGHT: &str = "2048";

/// Agora's gateway: the only public door. REST for everybody, passed on to the services behind it.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "gateway",
    version,
    mut_arg("max_in_flight", |arg| arg.default_value(MAX_IN_FLIGHT))
)]
pub struct Config {
    /// What all services have.
    #[command(flatten)]
    pub service: Service,

    /// What bounds a request.
    #[command(flatten)]
    pub door: Door,

    /// Port of the public API; 0 takes any free one.
    #[arg(long, env = "HTTP_PORT", default_value_t = 8080)]
    pub http_port: u16,

    /// Port of /livez, /readyz and /metrics; 0 takes any free one.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8090)]
    pub admin_port: u16,

    /// Where users is (gRPC).
    #[arg(long, env = "USERS_URL", default_value = "http://127.0.0.1:50051", value_parser = parse_url)]
    pub users_url: Url,

    /// Where orders is (REST).
    #[arg(long, env = "ORDERS_URL", default_value = "http://127.0.0.1:8081", value_parser = parse_url)]
    pub orders_url: Url,

    /// Where products is (REST).
    #[arg(long, env = "PRODUCTS_URL", default_value = "http://127.0.0.1:8082", value_parser = parse_url)]
    pub products_url: Url,

    /// Prefixes that are passed on as they are: /prefix=service:/path, separated by commas.
    #[arg(
        long,
        env = "GATEWAY_ROUTES",
        default_value = "/orders=orders:/v1/orders,/products=products:/v1/products"
    )]
    pub gateway_routes: Routes,

    /// How long a service behind the gateway may take to begin its answer.
    #[arg(long, env = "UPSTREAM_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub upstream_timeout: Duration,

    /// Most connections to one service behind the gateway.
    #[arg(long, env = "UPSTREAM_CONNECTIONS", default_value = "1024", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub upstream_connections: u32,

    /// How long one part of the dashboard may take before it is left out.
    #[arg(long, env = "DASHBOARD_DEADLINE", default_value = "2s", value_parser = duration)]
    pub dashboard_deadline: Duration,

    /// Requests per second of one client, and how many it may send at once; 0 turns the limit off.
    #[arg(long, env = "RATE_LIMIT", default_value_t = 10_000)]
    pub rate_limit: u32,

    /// Sign-in attempts per minute for one email, and how many at once; 0 turns the limit off.
    #[arg(long, env = "SIGN_IN_RATE", default_value_t = 600)]
    pub sign_in_rate: u32,
}

impl Config {
    /// The limit on a client's requests per second, unless it is turned off.
    #[must_use]
    pub fn client_limit(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.rate_limit)
    }

    /// The limit on sign-in attempts per minute, unless it is turned off.
    #[must_use]
    pub fn sign_in_limit(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.sign_in_rate)
    }
}
