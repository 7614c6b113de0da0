//! Groups of settings that services share; a service flattens those that it needs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{ArgAction, Args};
use resilience::fault::Faults;
use resilience::load_shed::{self, LoadShed};
use tokio::net::TcpListener;
use url::Url;

use super::values::{duration, plain_url, positive_duration, postgres_url};
use crate::admin::{Access, AdminToken, HostName};
use crate::arrival::Arrivals;
use crate::http;
use crate::limits::Limits;
use crate::proxies::TrustedProxies;
use crate::telemetry::{LogFormat, Telemetry, Writer};
use crate::{Fatal, Shutdown, descriptors, listen};

/// The settings of every service. (`admin_port` is not here: its default differs between services.)
#[derive(Args, Clone, Debug)]
pub struct Service {
    /// Address that all ports but the admin port are bound to.
    #[arg(long, env = "BIND_HOST", default_value = "127.0.0.1")]
    pub bind_host: String,

    /// Address that the admin port is bound to, whatever BIND_HOST is.
    #[arg(long, env = "ADMIN_BIND_HOST", default_value = "127.0.0.1")]
    pub admin_bind_host: String,

    /// Names or addresses, separated by commas, that the admin port answers to, beside localhost and ADMIN_BIND_HOST.
    #[arg(long, env = "ADMIN_HOSTS", value_name = "HOSTS", value_delimiter = ',')]
    pub admin_hosts: Vec<HostName>,

    /// Bearer token for whatever changes something through the admin port; without it only a port on the loopback does.
    #[arg(
        long,
        env = "ADMIN_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub admin_token: Option<AdminToken>,

    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,

    /// Where spans are exported to (OTLP over gRPC); unset: trace ids only, no export.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = plain_url)]
    pub otlp_endpoint: Option<Url>,

    /// How long work that was taken may go on after SIGTERM.
    #[arg(long, env = "SHUTDOWN_DEADLINE", default_value = "4s", value_parser = duration)]
    pub shutdown_deadline: Duration,

    /// Whether the admin port can break this service's calls to others on purpose (/faults). Not for production.
    #[arg(long, env = "ALLOW_FAULTS", default_value = "false", action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_faults: bool,

    /// Where the sidecar of a service mesh answers `GET /ready`, such as 127.0.0.1:15000; the service is ready only beside it, and
    /// believes who calls (x-forwarded-client-cert) of all that connects from the loopback. Unset: there is none.
    #[arg(long, env = "SIDECAR", value_name = "ADDRESS")]
    pub sidecar: Option<SocketAddr>,
}

impl Service {
    /// Binds the port `name`, as `--{name}-port` and `{NAME}_PORT` have it: `admin` on the host of the admin port, any
    /// other on the host of the doors.
    ///
    /// # Errors
    /// One line that names the port and what to change.
    pub async fn bind(&self, name: &str, port: u16) -> Result<TcpListener, Fatal> {
        let (flag, env) = (
            format!("--{name}-port"),
            format!("{}_PORT", name.to_uppercase()),
        );
        match name {
            "admin" => self.bind_admin(port, &flag, &env).await,
            _ => listen::bind(&self.bind_host, port, &flag, &env).await,
        }
    }

    /// Binds the admin port, for who has other names for its settings.
    ///
    /// # Errors
    /// One line that names the port and what to change.
    pub async fn bind_admin(&self, port: u16, flag: &str, env: &str) -> Result<TcpListener, Fatal> {
        listen::bind_admin(&self.admin_bind_host, port, flag, env).await
    }

    /// The access rules of the admin port, for [`crate::admin::serve`].
    pub fn admin_access(&self) -> Access {
        let mut hosts = self.admin_hosts.clone();
        // An unspecified address (all interfaces) can be listened on, but no request uses it as a host name.
        let own = self.admin_bind_host.parse::<IpAddr>();
        if !own.is_ok_and(|address| address.is_unspecified()) {
            hosts.extend(self.admin_bind_host.parse::<HostName>());
        }
        Access {
            hosts,
            token: self.admin_token.clone(),
        }
    }

    /// The faults of this service's calls, initially none; `None` unless faults are allowed. Clones share one state:
    /// one clone is for [`crate::admin::controls`], one for the clients that make the calls.
    pub fn faults(&self) -> Option<Faults> {
        self.allow_faults.then(Faults::new)
    }

    /// These settings for [`crate::telemetry::init`]; logs go to standard error.
    pub fn telemetry(&self, service: &'static str) -> Telemetry {
        Telemetry {
            service,
            log_format: self.log_format,
            otlp_endpoint: self.otlp_endpoint.clone(),
            writer: Writer::Stderr,
        }
    }
}

/// The limits of a server, HTTP or gRPC, for its requests and connections.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The longest that a request may take until its answer begins; a caller can ask for less, never for more.
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "15s", value_parser = positive_duration)]
    pub request_timeout: Duration,

    /// The most requests in progress at once, at all doors together; half as many more wait for a moment, the rest is
    /// refused with 503.
    #[arg(long, env = "MAX_IN_FLIGHT", default_value = "512",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_in_flight: u32,

    /// Proxies in front of this door, addresses and networks separated by commas, or none: their x-forwarded-for is
    /// believed, and limits by address do not count them. A service takes this machine for one, since that is where its
    /// gateway is by default; the gateway takes nobody for one.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1/128")]
    pub trusted_proxies: TrustedProxies,

    /// The most connections to one port; for one more the idlest is closed.
    #[arg(long, env = "MAX_CONNECTIONS", default_value = "10000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// The most connections of one address (IPv6: /64) to one port; for one more its idlest is closed. Many people can
    /// be behind one address.
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value = "5000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections_per_address: u32,

    /// The most requests of one address (over IPv6 of a /48) that are not answered to their end, at one port; for one more,
    /// the one that is not sent or not read for longest ends.
    #[arg(long, env = "MAX_REQUESTS_PER_ADDRESS", default_value = "1024",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_requests_per_address: u32,

    /// The most bytes of heads, and of messages of sockets, that have begun to arrive from one address and whose rest is waited
    /// for, at one port; beyond it, the connection that has waited longest is closed.
    #[arg(long, env = "MAX_HEAD_BYTES_PER_ADDRESS", default_value = "16777216",
          value_parser = clap::value_parser!(u32).range(32_768..=1_073_741_824))]
    pub max_head_bytes_per_address: u32,
}

impl Server {
    /// These settings for [`crate::http::serve`] and [`crate::grpc::serve`]; `deadline` is
    /// [`Service::shutdown_deadline`].
    #[must_use]
    pub fn options(&self, deadline: Duration) -> http::Options {
        http::Options {
            max_connections: self.max_connections as usize,
            max_connections_per_address: self.max_connections_per_address as usize,
            max_requests_per_address: self.max_requests_per_address as usize,
            max_head_bytes_per_address: self.max_head_bytes_per_address as usize,
            trusted_proxies: self.trusted_proxies.clone(),
            ..http::Options::with_deadline(deadline)
        }
    }

    /// These settings for [`crate::http::standard`] and [`crate::grpc::standard`]. Give clones of one instance to all
    /// doors of a process.
    ///
    /// # Errors
    /// For numbers that the command line would refuse.
    pub fn limits(&self) -> Result<Limits, Fatal> {
        let max_in_flight = self.max_in_flight as usize;
        let load = load_shed::Config {
            max_in_flight,
            max_waiting: max_in_flight / 2,
            ..load_shed::Config::default()
        };
        Ok(Limits {
            timeout: self.request_timeout,
            load: Some(LoadShed::new(load)?),
            arrivals: Arrivals::default(),
        })
    }
}

/// Answers that go on for as long as their readers stay, such as server-sent events.
#[derive(Args, Clone, Copy, Debug)]
pub struct Streams {
    /// The most streams that are open at once, and never more than half of MAX_CONNECTIONS or than a quarter of the
    /// connections that there are descriptors for. For one more, the oldest of whoever has the most ends; if nobody has more
    /// than the newcomer would have, it is refused with 503.
    #[arg(long, env = "MAX_STREAMS", default_value = "5000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_streams: u32,

    /// The most of them of one user; one more is refused with 429.
    #[arg(long, env = "MAX_STREAMS_PER_USER", default_value = "32",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_streams_per_user: u32,

    /// The most of them of one address (IPv6: /64), where addresses are counted; for one more, the oldest of whoever has the
    /// most there ends, or it is refused with 429. Many people can be behind one address.
    #[arg(long, env = "MAX_STREAMS_PER_ADDRESS", default_value = "2500",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_streams_per_address: u32,
}

impl Streams {
    /// Places for as many streams of `service` at this server, none of them taken.
    ///
    /// Over HTTP/1.1 a stream has a connection to itself, which is never idle and so makes no room for others. Therefore the
    /// connections bound the streams, too: half of them are for requests. A process with two doors and a client between them
    /// needs three descriptors for one stream.
    #[must_use]
    pub fn places(
        &self,
        service: &'static str,
        server: &Server,
        shutdown: Shutdown,
    ) -> http::streams::Streams {
        let described = usize::try_from(descriptors::connections_max()).unwrap_or(usize::MAX);
        let room = (server.max_connections as usize / 2)
            .min(described / 4)
            .max(1);
        let bounds = http::streams::Bounds {
            max: room.min(self.max_streams as usize),
            max_per_user: self.max_streams_per_user as usize,
            max_per_address: (room / 2).max(1).min(self.max_streams_per_address as usize),
        };
        http::streams::Streams::new(service, bounds, shutdown)
    }
}

/// The service's own database.
#[derive(Args, Clone)]
pub struct Database {
    /// URL of the service's PostgreSQL database.
    ///
    /// With ?sslmode=verify-full&sslrootcert=FILE over TLS to a server that this authority knows, and with
    /// &sslcert=FILE&sslkey=FILE with a certificate of one's own.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = postgres_url)]
    pub database_url: String,

    /// The most connections the service keeps to its database.
    #[arg(id = "database_max_connections", long = "database-max-connections", env = "DATABASE_MAX_CONNECTIONS",
          default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_connections: u32,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("database_url", &"…")
            .field("max_connections", &self.max_connections)
            .finish()
    }
}
