//! The service's settings: flags and environment.

use std::time::Duration;

use chassis::config;
use clap::Parser;
use client::{Address, ClientConfig, Peer};
use messaging::args::{KafkaArgs, QueueArgs};
use outbox::OutboxArgs;

use crate::{
    NAME,
    budgets::BudgetOptions,
    domain::{Email, Password},
    keys::{KeyOptions, PUBLISH_AHEAD},
    passwords::HashOptions,
};

/// The longest lifetime of a token. A token cannot be revoked before it expires.
const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The shortest time for which a key signs. Keys are made, published and read several times in each: see [`Config::refresh`].
const MIN_KEY_ROTATION: Duration = Duration::from_secs(1);

/// The default settings for calls to other services: shorter than our own callers wait for us (3 s), so that they still
/// get our error.
const INSIDE: &str = "deadline=2s,attempt=1s";

/// Accounts and identity for the marketplace, served over gRPC.
#[derive(Debug, Clone, Parser)]
#[command(name = "users", version)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub service: config::Service,

    /// What bounds a request.
    #[command(flatten)]
    pub server: config::Server,

    /// Port of the gRPC server; 0 takes any free one.
    #[arg(long, env = "GRPC_PORT", default_value = "50051")]
    pub grpc_port: u16,

    /// Port of /livez, /readyz and /metrics; 0 takes any free one.
    #[arg(long, env = "ADMIN_PORT", default_value = "8093")]
    pub admin_port: u16,

    /// The service's own database.
    #[command(flatten)]
    pub database: config::Database,

    /// Where new accounts are announced to whoever keeps a copy.
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// How announcements leave the database.
    #[command(flatten)]
    pub outbox: OutboxArgs,

    /// Where new accounts are announced to whoever has work to do.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// Where the orders service answers REST.
    #[arg(long, env = "ORDERS_URL", default_value = "http://127.0.0.1:8081")]
    pub orders_url: Address,

    /// How the orders service is called.
    #[arg(long, env = "ORDERS_CLIENT", default_value = INSIDE, value_parser = ClientConfig::over(INSIDE), long_help = client::SETTINGS)]
    pub orders_client: ClientConfig,

    /// How long an access token is good for, up to 24h.
    #[arg(long, env = "TOKEN_LIFETIME", default_value = "15m", value_parser = token_lifetime)]
    pub token_lifetime: Duration,

    /// How long a key signs tokens before the next one takes over, at least 1s; 0: for ever.
    #[arg(long, env = "KEY_ROTATION", default_value = "30d", value_parser = key_rotation)]
    pub key_rotation: Duration,

    /// How often the keys in the database are looked at.
    #[arg(long, env = "KEY_REFRESH", default_value = "30s", value_parser = key_refresh)]
    pub key_refresh: Duration,

    /// Memory of one password hash, in KiB. With the number of passes, at least what OWASP asks for
    /// in production: 19456 and 2.
    #[arg(long, env = "HASH_MEMORY_KIB", default_value = "19456", value_parser = clap::value_parser!(u32).range(8..=1_048_576))]
    pub hash_memory_kib: u32,

    /// Passes of one password hash over its memory.
    #[arg(long, env = "HASH_ITERATIONS", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub hash_iterations: u32,

    /// Password hashes that run at the same time; 0: as many as there are cores.
    #[arg(long, env = "HASH_CONCURRENCY", default_value = "0", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub hash_concurrency: u16,

    /// The longest that a sign-in waits for its turn to be hashed before it is told to come back.
    #[arg(long, env = "HASH_WAIT", default_value = "2s", value_parser = config::duration)]
    pub hash_wait: Duration,

    /// Wrong sign-ins, and sign-ups for emails that are taken, of one address: so many at once, and each minute; 0 turns the
    /// limit off. Who has signed in from there lately is not counted. Over IPv6 an address is a /64, and all of a /48 together have
    /// 16 times as many.
    #[arg(long, env = "FAILURES_PER_ADDRESS", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub failures_per_address: u32,

    /// Wrong sign-ins to one account, from all addresses together: so many at once, and each hour; 0 turns the limit off.
    /// Who has signed in to it from where they are is not counted.
    #[arg(long, env = "FAILURES_PER_ACCOUNT", default_value = "600", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub failures_per_account: u32,

    /// Email of an admin that is created at the start, or made one; belongs together with ADMIN_PASSWORD: give
    /// both or neither.
    #[arg(long, env = "ADMIN_EMAIL", value_parser = email, requires = "admin_password")]
    pub admin_email: Option<Email>,

    /// Password of the admin, set anew at each start; belongs together with ADMIN_EMAIL: give both or neither.
    ///
    /// 8 to 128 characters.
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true, value_parser = password, requires = "admin_email")]
    pub admin_password: Option<Password>,
}

impl Config {
    /// The orders service, which stores the users' orders.
    #[must_use]
    pub fn orders(&self) -> Peer {
        let (url, client) = (self.orders_url.clone(), self.orders_client.clone());
        Peer::new("orders", url, client).called_by(NAME)
    }

    /// The options for the replacement of keys.
    #[must_use]
    pub fn keys(&self) -> KeyOptions {
        KeyOptions {
            token_lifetime: self.token_lifetime,
            rotation: self.key_rotation,
            publish_ahead: self.publish_ahead(),
        }
    }

    /// How often the keys in the database are read: a key that is published for a short time only must be read within
    /// that time.
    #[must_use]
    pub fn refresh(&self) -> Duration {
        self.key_refresh.min(self.publish_ahead() / 4)
    }

    /// Keys that rotate quickly cannot be published long before they sign. A verifier that does not know one fetches it
    /// at once, so that this costs a fetch and no refusal.
    fn publish_ahead(&self) -> Duration {
        if self.key_rotation.is_zero() {
            return PUBLISH_AHEAD;
        }
        PUBLISH_AHEAD.min(self.key_rotation / 2)
    }

    /// The limits on failed attempts.
    #[must_use]
    pub fn budgets(&self) -> BudgetOptions {
        BudgetOptions {
            of_address: self.failures_per_address,
            of_account: self.failures_per_account,
        }
    }

    /// The cost of a password hash.
    #[must_use]
    pub fn hashing(&self) -> HashOptions {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        HashOptions {
            memory_kib: self.hash_memory_kib,
            iterations: self.hash_iterations,
            concurrency: match self.hash_concurrency {
                0 => cores(),
                some => usize::from(some),
            },
            wait: self.hash_wait,
        }
    }

    /// The admin account to create at the start, if one is configured.
    pub(crate) fn admin(&self) -> Option<(Email, Password)> {
        self.admin_email.clone().zip(self.admin_password.clone())
    }
}

fn token_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = config::duration(text)?;
    if (Duration::from_secs(1)..=MAX_TOKEN_LIFETIME).contains(&lifetime) {
        Ok(lifetime)
    } else {
        Err("it takes a duration from 1s to 24h".to_owned())
    }
}

fn key_rotation(text: &str) -> Result<Duration, String> {
    let rotation = config::duration(text)?;
    if rotation.is_zero() || rotation >= MIN_KEY_ROTATION {
        Ok(rotation)
    } else {
        Err("it takes 0 or a duration from 1s".to_owned())
    }
}

/// Less than half of the time for which keys are published before use: see [`crate::keys`].
fn key_refresh(text: &str) -> Result<Duration, String> {
    let refresh = config::duration(text)?;
    if (Duration::from_millis(10)..=PUBLISH_AHEAD / 4).contains(&refresh) {
        Ok(refresh)
    } else {
        Err("it takes a duration from 10ms to 150s".to_owned())
    }
}

fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|description| format!("it {description}"))
}

fn password(text: &str) -> Result<Password, String> {
    Password::parse(text).map_err(|description| format!("it {description}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [&str; 3] = [
        "users",
        "--database-url=postgres://u:secret@127.0.0.1/users",
        "--queue-database-url=postgres://u:secret@127.0.0.1/queue",
    ];

    fn parse(more: &[&str]) -> Result<Config, String> {
        config::try_from_args(NEEDED.iter().chain(more).copied())
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = parse(&[]).unwrap();
        assert_eq!((config.grpc_port, config.admin_port), (50051, 8093));
        assert_eq!(config.token_lifetime, Duration::from_secs(900));
        assert_eq!(config.key_rotation, Duration::from_secs(30 * 86_400));
        let hashing = config.hashing();
        assert_eq!((hashing.memory_kib, hashing.iterations), (19 * 1024, 2));
        assert!(hashing.concurrency >= 1);
    }

    #[test]
    fn keys_that_rotate_quickly_are_read_a_few_times_a_second() {
        for (rotation, refresh_ms) in [("0", 30_000), ("1s", 125), ("4s", 500)] {
            let flag = format!("--key-rotation={rotation}");
            let config = parse(&[flag.as_str()]).unwrap();
            assert_eq!(config.refresh(), Duration::from_millis(refresh_ms));
        }
    }

    #[test]
    fn an_admin_is_an_email_and_a_password() {
        let config = parse(&["--admin-email=a@b.example", "--admin-password=long enough"]);
        assert!(config.unwrap().admin_email.is_some());
        for half in ["--admin-email=a@b.example", "--admin-password=long enough"] {
            let line = parse(&[half]).unwrap_err();
            assert!(
                line.contains("ADMIN_EMAIL") && line.contains("ADMIN_PASSWORD"),
                "{line}"
            );
            assert!(line.contains(": give both or neither"), "{line}");
        }
        assert!(parse(&["--admin-email=nobody", "--admin-password=long enough"]).is_err());
    }

    #[test]
    fn no_secret_is_shown() {
        let line = parse(&["--admin-email=a@b.example", "--admin-password=hunter2"]).unwrap_err();
        assert!(line.contains("ADMIN_PASSWORD"), "{line}");
        assert!(!line.contains("hunter2"), "{line}");

        let config = parse(&[
            "--admin-email=a@b.example",
            "--admin-password=correct horse",
        ]);
        let shown = format!("{:?}", config.unwrap());
        assert!(
            !shown.contains("horse") && !shown.contains("secret"),
            "{shown}"
        );
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for wrong in [
            "--token-lifetime=0",
            "--token-lifetime=25h",
            "--key-refresh=1h",
            "--key-rotation=999ms",
            "--hash-memory-kib=1",
            "--orders-url=orders",
        ] {
            let line = parse(&[wrong]).unwrap_err();
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
