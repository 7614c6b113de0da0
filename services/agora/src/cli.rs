//! The command line.

use std::path::PathBuf;

use chassis::config::{Service, postgres_url};
use clap::builder::{OsStr, Resettable};
use clap::{Args, Parser, Subcommand};

use crate::bench::{self, Bench};
use crate::binaries::BinaryArgs;
use crate::dlq::{self, Dlq};
use crate::files::AdminArgs;
use crate::load::{self, Load};
use crate::tour::{self, Tour};
use crate::trace::{self, Trace};

const AFTER_HELP: &str = "\
Every setting of a single service (TOKEN_LIFETIME, SAGA_DEADLINE, RATE_LIMIT, RUST_LOG, …) works here too, \
as an environment variable; but where services, their databases, jobs and dead letters are (HTTP_PORT, ORDERS_URL, MAIL_DIR, AMQP_URL, \
DEAD_LETTERS_DATABASE_URL, …), and that no sidecar is beside them (SIDECAR), this command says itself.

Files in the data directory:
  endpoints.json  where everything listens, while it runs (has the database's password: mode 0600)
  admin.json      email and password of the administrator
  agora.log       the log; --verbose shows it instead
  mail/           sent mails, unless SMTP_URL says where to send them
  postgres/       the private PostgreSQL: data/ and server.log

Examples:
  agora                                     start on the usual ports, keep everything
  agora up --open                           the same, and the page in the browser
  agora up --any-port --data-dir ./try      a second marketplace beside the first
  DATABASE_URL=postgres://me:pw@127.0.0.1/postgres agora up
                                            on a PostgreSQL of your own
  agora dlq list                            what could not be handled, and why
  agora trace ORDER                         the journey of an order, hop by hop
  agora tour                                what breaks and what holds, one thing after the other
  agora load --rate 100                     many orders, and what comes of them
  agora bench                               the figures of docs/performance.md, of this machine
  agora mesh-ca --help                      certificates for the sidecars of deploy/mesh";

/// A marketplace of five services that shows how services talk.
#[derive(Debug, Parser)]
#[command(
    name = "agora",
    version,
    long_about = "A marketplace of five services that shows how services talk.\n\n\
        Without a subcommand it is `agora up`: all services in this process, on a private PostgreSQL, an \
        in-memory Kafka and a directory of mails. Nothing has to be installed; PostgreSQL is fetched once \
        if the machine has none. Ctrl-C stops it; a second Ctrl-C does not wait for anything.",
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: Up,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the whole marketplace (the default).
    #[command(after_help = AFTER_HELP)]
    Up(Box<Up>),
    /// Look at dead letters, send them again, drop them.
    #[command(after_help = dlq::AFTER_HELP)]
    Dlq(Box<Dlq>),
    /// Show the journey of an order through the services.
    #[command(after_help = trace::AFTER_HELP)]
    Trace(Box<Trace>),
    /// Play the tour: what breaks, what holds, and where to read on.
    #[command(after_help = tour::AFTER_HELP)]
    Tour(Box<Tour>),
    /// Order many things, and say what came of it.
    #[command(after_help = load::AFTER_HELP)]
    Load(Box<Load>),
    /// Measure what docs/performance.md says, on a marketplace of its own.
    #[command(after_help = bench::AFTER_HELP)]
    Bench(Box<Bench>),
    /// Keep the certificates of a service mesh fresh (deploy/mesh).
    #[command(after_help = mesh::ca::AFTER_HELP)]
    MeshCa(Box<mesh::ca::Ca>),
}

/// What was asked for.
pub(crate) enum Asked {
    Up(Box<Up>),
    Dlq(Box<Dlq>),
    Trace(Box<Trace>),
    Tour(Box<Tour>),
    Load(Box<Load>),
    Bench(Box<Bench>),
    MeshCa(Box<mesh::ca::Ca>),
}

impl Cli {
    /// `up`, whether or not the word was there, or another command.
    pub(crate) fn asked(self) -> Asked {
        match self.command {
            Some(Command::Up(up)) => Asked::Up(up),
            Some(Command::Dlq(dlq)) => Asked::Dlq(dlq),
            Some(Command::Trace(trace)) => Asked::Trace(trace),
            Some(Command::Tour(tour)) => Asked::Tour(tour),
            Some(Command::Load(load)) => Asked::Load(load),
            Some(Command::Bench(bench)) => Asked::Bench(bench),
            Some(Command::MeshCa(ca)) => Asked::MeshCa(ca),
            None => Asked::Up(Box::new(self.up)),
        }
    }
}

/// The settings of `agora up`.
// It is there to be broken, on a machine of one's own; a single service is not, unless it is told so. No sidecar is between
// services of one process: the flag is not offered, and refused with a reason.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("allow_faults", |arg| arg.default_value("true")),
    mut_arg("sidecar", |arg| arg.hide(true).env(Resettable::<OsStr>::Reset))
)]
pub(crate) struct Up {
    /// Where data, logs and mails are kept [default: $XDG_STATE_HOME/agora or ~/.local/state/agora (macOS:
    /// ~/Library/Application Support/agora); /var/lib/agora for root, whose PostgreSQL runs as another user
    /// that must be able to reach it].
    #[arg(long, env = "AGORA_DATA_DIR", value_name = "DIR", verbatim_doc_comment)]
    pub(crate) data_dir: Option<PathBuf>,

    /// Show the log here instead of writing it to agora.log.
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Open the page in the browser when all is ready.
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) service: Service,

    #[command(flatten)]
    pub(crate) ports: Ports,

    #[command(flatten)]
    pub(crate) engines: Engines,

    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// Ports; 0 takes any free one.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Ports (0 takes any free one)")]
pub(crate) struct Ports {
    /// Take any free port wherever no port is given.
    #[arg(long)]
    pub(crate) any_port: bool,

    /// The public API [default: 8080].
    #[arg(long, env = "GATEWAY_PORT", value_name = "PORT")]
    pub(crate) gateway_port: Option<u16>,
    /// Health and metrics of the gateway [default: 8090].
    #[arg(long, env = "GATEWAY_ADMIN_PORT", value_name = "PORT")]
    pub(crate) gateway_admin_port: Option<u16>,
    /// REST of orders [default: 8081].
    #[arg(long, env = "ORDERS_PORT", value_name = "PORT")]
    pub(crate) orders_port: Option<u16>,
    /// Health and metrics of orders [default: 8091].
    #[arg(long, env = "ORDERS_ADMIN_PORT", value_name = "PORT")]
    pub(crate) orders_admin_port: Option<u16>,
    /// REST of products [default: 8082].
    #[arg(long, env = "PRODUCTS_PORT", value_name = "PORT")]
    pub(crate) products_port: Option<u16>,
    /// gRPC of products [default: 50052].
    #[arg(long, env = "PRODUCTS_GRPC_PORT", value_name = "PORT")]
    pub(crate) products_grpc_port: Option<u16>,
    /// Health and metrics of products [default: 8092].
    #[arg(long, env = "PRODUCTS_ADMIN_PORT", value_name = "PORT")]
    pub(crate) products_admin_port: Option<u16>,
    /// gRPC of users [default: 50051].
    #[arg(long, env = "USERS_PORT", value_name = "PORT")]
    pub(crate) users_port: Option<u16>,
    /// Health and metrics of users [default: 8093].
    #[arg(long, env = "USERS_ADMIN_PORT", value_name = "PORT")]
    pub(crate) users_admin_port: Option<u16>,
    /// Health and metrics of notifications [default: 8094].
    #[arg(long, env = "NOTIFICATIONS_ADMIN_PORT", value_name = "PORT")]
    pub(crate) notifications_admin_port: Option<u16>,
    /// Traces, state and switches of the observatory, on the loopback [default: 8095].
    #[arg(long, env = "OBSERVATORY_PORT", value_name = "PORT")]
    pub(crate) observatory_port: Option<u16>,
    /// Health and metrics of the observatory [default: 8096].
    #[arg(long, env = "OBSERVATORY_ADMIN_PORT", value_name = "PORT")]
    pub(crate) observatory_admin_port: Option<u16>,
    /// Switches that take engines and services away, on the loopback [default: 8097].
    #[arg(long, env = "SWITCHES_PORT", value_name = "PORT")]
    pub(crate) switches_port: Option<u16>,
}

/// What the services run on.
#[derive(Args, Clone)]
#[command(next_help_heading = "Engines")]
pub(crate) struct Engines {
    /// A PostgreSQL server to use instead of a private one. The databases agora_users, agora_orders,
    /// agora_products, agora_notifications and agora_queue are created on it.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true, value_parser = postgres_url)]
    pub(crate) database_url: Option<String>,

    #[command(flatten)]
    pub(crate) binaries: BinaryArgs,

    /// Kafka brokers (host:port, separated by commas) to use instead of the one in memory.
    #[arg(long, env = "KAFKA_BROKERS", value_name = "BROKERS")]
    pub(crate) kafka_brokers: Option<String>,

    /// Account at KAFKA_BROKERS; the Kafka in memory has none.
    #[arg(long, env = "KAFKA_USERNAME", value_name = "NAME", requires_all = ["kafka_brokers", "kafka_password"])]
    pub(crate) kafka_username: Option<String>,

    /// Password of KAFKA_USERNAME.
    #[arg(
        long,
        env = "KAFKA_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true,
        requires = "kafka_username"
    )]
    pub(crate) kafka_password: Option<String>,

    /// A mail server to send to instead of writing mails to the data directory.
    #[arg(long, env = "SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) smtp_url: Option<String>,
}

// Neither may end up in a log: URLs and passwords are secrets.
impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").finish_non_exhaustive()
    }
}
