//! Settings of the engines as groups of flags and environment variables (feature `clap`); flatten the ones that are needed.

#[cfg(all(feature = "kafka", feature = "postgres"))]
use std::path::{Path, PathBuf};
#[cfg(feature = "postgres")]
use std::str::FromStr as _;
use std::time::Duration;
#[cfg(feature = "postgres")]
use std::{fmt, sync::Arc};

#[cfg(all(feature = "chassis", feature = "kafka", feature = "postgres"))]
use chassis::{Fatal, db, health::Dependency};
#[cfg(feature = "postgres")]
use clap::Args;
#[cfg(feature = "postgres")]
use sqlx::{PgPool, postgres::PgConnectOptions};

#[cfg(all(feature = "chassis", feature = "kafka", feature = "postgres"))]
use crate::Status;
#[cfg(all(feature = "chassis", feature = "kafka", feature = "postgres"))]
use crate::kafka::ConsumerOptions;
#[cfg(all(feature = "kafka", feature = "postgres"))]
use crate::kafka::{Account, KafkaConfig, Mechanism, ParkIn};
#[cfg(all(feature = "kafka", feature = "postgres"))]
use crate::pg_queue::PgQueue;
#[cfg(all(feature = "amqp", feature = "postgres"))]
use crate::{MessagingError, Queue, open_queue};

/// The event stream.
#[cfg(all(feature = "kafka", feature = "postgres"))]
#[derive(Args, Clone)]
pub struct KafkaArgs {
    /// Kafka brokers, host:port, separated by commas.
    #[arg(long, env = "KAFKA_BROKERS", default_value = "127.0.0.1:9092")]
    pub kafka_brokers: String,

    /// Account at the brokers; unset: they ask for none.
    #[arg(long, env = "KAFKA_USERNAME", requires = "kafka_password")]
    pub kafka_username: Option<String>,

    /// Password of KAFKA_USERNAME.
    #[arg(
        long,
        env = "KAFKA_PASSWORD",
        hide_env_values = true,
        requires = "kafka_username"
    )]
    pub kafka_password: Option<String>,

    /// How the account proves itself: PLAIN sends the password as it is, so without KAFKA_CA on a private network only;
    /// SCRAM-SHA-512 does not, and needs a build with TLS for Kafka.
    #[arg(long, env = "KAFKA_MECHANISM", default_value = "PLAIN", value_parser = kafka_mechanism)]
    pub kafka_mechanism: Mechanism,

    /// Certificate of the authority that the brokers' certificates come from, in PEM: the connections are TLS then, for which
    /// the program must be built with TLS for Kafka; unset: they are not.
    #[arg(long, env = "KAFKA_CA", value_name = "FILE", value_parser = kafka_ca)]
    pub kafka_ca: Option<PathBuf>,

    /// How long a broker may hold a fetch back to fill it.
    #[arg(long, env = "KAFKA_FETCH_WAIT", default_value = "500ms", value_parser = duration)]
    pub kafka_fetch_wait: Duration,

    /// URL of a PostgreSQL database that keeps the dead letters of topics, for brokers that forget; unset: they are in topics
    /// named `<topic>.<consumer group>.dlq`.
    #[arg(long, env = "DEAD_LETTERS_DATABASE_URL", hide_env_values = true, value_parser = postgres_url)]
    pub dead_letters_database_url: Option<String>,
}

/// Connections to the database that keeps dead letters, if one does: to park, and to look for what was sent again.
#[cfg(all(feature = "kafka", feature = "postgres"))]
const DEAD_LETTER_CONNECTIONS: u32 = 2;

#[cfg(all(feature = "kafka", feature = "postgres"))]
impl KafkaArgs {
    /// Where a consumer parks what cannot be handled; `database` opens a pool for the URL of a database, of at most so many
    /// connections.
    ///
    /// # Errors
    /// Those of `database`.
    pub fn park_in<E>(
        &self,
        database: impl FnOnce(&str, u32) -> Result<PgPool, E>,
    ) -> Result<ParkIn, E> {
        let Some(url) = &self.dead_letters_database_url else {
            return Ok(ParkIn::Topic);
        };
        let pool = database(url, DEAD_LETTER_CONNECTIONS)?;
        Ok(ParkIn::Queue(Arc::new(PgQueue::new(pool))))
    }

    /// A consumer of `service` in this group. What it parks is told to `dead_letters`, which is its part of `/readyz`.
    ///
    /// # Errors
    /// If the URL of the database for dead letters cannot be parsed.
    #[cfg(feature = "chassis")]
    pub fn consumer<T: Into<String>>(
        &self,
        service: &str,
        group: &str,
        topics: impl IntoIterator<Item = T>,
        dead_letters: &Dependency,
    ) -> Result<ConsumerOptions, Fatal> {
        Ok(ConsumerOptions {
            park_in: self.park_in(|url, most| db::connect(url, most, service))?,
            dead_letters: Status::new(dead_letters.quiet_reporter()),
            ..ConsumerOptions::new(group, topics)
        })
    }

    /// The brokers as `client_id` uses them.
    #[must_use]
    pub fn config(&self, client_id: &str) -> KafkaConfig {
        let named = self.kafka_username.as_deref();
        let account = named
            .zip(self.kafka_password.as_deref())
            .map(|(name, password)| Account::new(name, password).by(self.kafka_mechanism));
        KafkaConfig {
            fetch_wait: self.kafka_fetch_wait,
            authority: self.kafka_ca.clone(),
            ..KafkaConfig::new(&self.kafka_brokers, client_id).with_account(account)
        }
    }
}

#[cfg(all(feature = "kafka", feature = "postgres"))]
impl fmt::Debug for KafkaArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaArgs")
            .field("kafka_brokers", &self.kafka_brokers)
            .field("kafka_username", &self.kafka_username)
            .field("kafka_mechanism", &self.kafka_mechanism)
            .field("kafka_ca", &self.kafka_ca)
            .field("kafka_fetch_wait", &self.kafka_fetch_wait)
            .field(
                "dead_letters_in_database",
                &self.dead_letters_database_url.is_some(),
            )
            .finish_non_exhaustive()
    }
}

/// The work queue: RabbitMQ if its URL is set, else a PostgreSQL database.
#[cfg(all(feature = "amqp", feature = "postgres"))]
#[derive(Args, Clone)]
pub struct QueueArgs {
    /// URL of the RabbitMQ broker that holds the queue, such as amqp://user:password@127.0.0.1:5672/agora, or for TLS
    /// amqps://user:password@rabbitmq:5671/agora?cacertfile=FILE, with &certfile=FILE&keyfile=FILE for a certificate of one's
    /// own; unset: the queue is in PostgreSQL.
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_parser = amqp_url)]
    pub amqp_url: Option<String>,

    /// URL of the PostgreSQL database that holds the queue; not used when there is an AMQP_URL.
    #[arg(long, env = "QUEUE_DATABASE_URL", hide_env_values = true, value_parser = postgres_url,
          required_unless_present = "amqp_url")]
    pub queue_database_url: Option<String>,
}

#[cfg(all(feature = "amqp", feature = "postgres"))]
impl QueueArgs {
    /// The queue, for `service`; `database` opens a pool for the URL of a database. See [`open_queue`].
    ///
    /// # Errors
    /// As for [`open_queue`]; also when neither URL is there, which the command line does not let pass.
    pub fn open<E: From<MessagingError>>(
        &self,
        service: &str,
        database: impl FnOnce(&str) -> Result<PgPool, E>,
    ) -> Result<Arc<dyn Queue>, E> {
        open_queue(self.amqp_url.as_deref(), service, || {
            let missing =
                || MessagingError::Config("set AMQP_URL or QUEUE_DATABASE_URL".to_owned());
            database(self.queue_database_url.as_deref().ok_or_else(missing)?)
        })
    }
}

#[cfg(all(feature = "amqp", feature = "postgres"))]
impl fmt::Debug for QueueArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueArgs")
            .field("amqp", &self.amqp_url.is_some())
            .field("queue_database_url", &"…")
            .finish()
    }
}

/// Reads a duration in the form of the crate `humantime`: `500ms`, `30s` or `0`.
///
/// # Errors
/// What is allowed.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "it takes a duration such as 500ms, 30s, 15m, 1h, 30d or 0".to_owned())
}

/// Whether this build has TLS and SCRAM for Kafka. They are declared in each build, so that one that has them not says so
/// instead of going on in the clear.
#[cfg(all(feature = "kafka", feature = "postgres"))]
const HAS_KAFKA_TLS: bool = cfg!(feature = "kafka-tls");
#[cfg(all(feature = "kafka", feature = "postgres"))]
const NO_KAFKA_TLS: &str = "it takes nothing in a build without OpenSSL: build the program with --features messaging/kafka-tls";

/// Checks that the file can be used: that it is there, and that this build can do TLS.
///
/// # Errors
/// What is allowed.
#[cfg(all(feature = "kafka", feature = "postgres"))]
pub fn kafka_ca(text: &str) -> Result<PathBuf, String> {
    if !HAS_KAFKA_TLS {
        return Err(NO_KAFKA_TLS.to_owned());
    }
    let file = Path::new(text);
    match std::fs::read_to_string(file) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(file.to_owned()),
        Ok(_) => Err("it takes a file with a certificate in PEM".to_owned()),
        Err(error) => Err(format!("it takes a file that can be read: {error}")),
    }
}

/// Reads the name that Kafka has for a mechanism.
///
/// # Errors
/// What is allowed.
#[cfg(all(feature = "kafka", feature = "postgres"))]
pub fn kafka_mechanism(text: &str) -> Result<Mechanism, String> {
    let known = [Mechanism::Plain, Mechanism::ScramSha512];
    match known.into_iter().find(|known| known.as_str() == text) {
        Some(Mechanism::ScramSha512) if !HAS_KAFKA_TLS => Err(NO_KAFKA_TLS.to_owned()),
        Some(mechanism) => Ok(mechanism),
        None => Err("it takes PLAIN or SCRAM-SHA-512".to_owned()),
    }
}

/// Checks a RabbitMQ URL and hands it through as text. It may hold a password, so its error does not quote it.
///
/// # Errors
/// What is allowed.
#[cfg(feature = "amqp")]
pub fn amqp_url(text: &str) -> Result<String, String> {
    url::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "amqp" | "amqps") && url.has_host())
        .ok_or(
            "it takes a URL such as amqp://user:password@127.0.0.1:5672/vhost, or for TLS \
             amqps://user:password@rabbitmq:5671/vhost?cacertfile=FILE",
        )?;
    crate::amqp::check(text).map_err(|why| format!("it takes a URL that can be used: {why}"))?;
    Ok(text.to_owned())
}

/// Checks a PostgreSQL URL and hands it through as text. It may hold a password, so its error does not quote it.
#[cfg(feature = "postgres")]
fn postgres_url(text: &str) -> Result<String, String> {
    let scheme = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if scheme && PgConnectOptions::from_str(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err("it takes a URL such as postgres://user:password@127.0.0.1:5432/database".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Both {
        #[command(flatten)]
        kafka: KafkaArgs,
        #[command(flatten)]
        queue: QueueArgs,
    }

    const QUEUE: &str = "--queue-database-url=postgres://a:hunter2@c/q";

    fn both(flags: &[&str]) -> Result<Both, String> {
        let parsed = Both::try_parse_from(["both"].iter().chain(flags));
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn defaults() {
        let both = both(&[QUEUE]).unwrap();
        assert_eq!(both.kafka.kafka_brokers, "127.0.0.1:9092");
        assert_eq!(
            both.kafka.config("me").fetch_wait,
            Duration::from_millis(500)
        );
        assert!(both.queue.amqp_url.is_none());
    }

    #[test]
    fn an_account_is_whole_or_not_there() {
        const NAME: &str = "--kafka-username=me";
        const PASSWORD: &str = "--kafka-password=hunter2";
        both(&[QUEUE, NAME, PASSWORD]).unwrap();
        assert!(
            both(&[QUEUE, NAME])
                .unwrap_err()
                .contains("--kafka-password")
        );
        assert!(
            both(&[QUEUE, PASSWORD])
                .unwrap_err()
                .contains("--kafka-username")
        );
    }

    #[test]
    fn a_build_without_tls_for_kafka_does_not_go_on_in_the_clear() {
        assert_eq!(kafka_mechanism("PLAIN"), Ok(Mechanism::Plain));
        assert!(kafka_mechanism("plain").is_err());
        let refused = both(&[QUEUE, "--kafka-ca=/nowhere/ca.crt"]).unwrap_err();
        let scram = both(&[QUEUE, "--kafka-mechanism=SCRAM-SHA-512"]);
        if cfg!(feature = "kafka-tls") {
            assert!(refused.contains("No such file"), "{refused}");
            assert_eq!(scram.unwrap().kafka.kafka_mechanism, Mechanism::ScramSha512);
        } else {
            assert!(refused.contains("messaging/kafka-tls"), "{refused}");
            assert!(scram.unwrap_err().contains("messaging/kafka-tls"));
        }
    }

    #[test]
    fn a_queue_is_in_one_place_or_the_other() {
        assert!(both(&[]).unwrap_err().contains("--queue-database-url"));
        both(&["--amqp-url=amqp://a:b@c/d"]).unwrap();
        for text in [
            "amqps://a:hunter2@h/v",
            "http://a:hunter2@h",
            "amqp:hunter2",
        ] {
            assert!(
                amqp_url(text).is_err_and(|why| !why.contains("hunter2")),
                "{text}"
            );
        }
        assert!(postgres_url("postgresql://a:b@h/d").is_ok());
        assert!(postgres_url("mysql://a:hunter2@h/d").is_err_and(|why| !why.contains("hunter2")));
    }

    #[test]
    fn no_password_is_shown() {
        let whole = ["--kafka-username=me", "--kafka-password=hunter2", QUEUE];
        let shown = format!("{:?}", both(&whole).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
