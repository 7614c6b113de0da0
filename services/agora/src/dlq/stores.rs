//! The engines whose dead letters are selected.

use contracts::queues::{EMAIL_JOBS, USER_CREATED_AUDIT, USER_CREATED_WELCOME};
use messaging::MessagingError;
use messaging::amqp::AmqpDeadLetters;
use messaging::args::{kafka_ca, kafka_mechanism};
use messaging::dead_letters::{Act, DeadLetterStore, Progress, Sweep, Swept};
use messaging::kafka::{Account, KafkaConfig, KafkaDeadLetters};
use messaging::pg_queue::PgDeadLetters;
use serde_json::Value;

use super::args::Place;
use crate::failure::Failure;
use crate::files;

/// The client's name at the brokers.
const NAME: &str = "agora-dlq";
/// One statement after the other.
const CONNECTIONS: u32 = 1;

/// One after the other.
pub(super) struct Stores(Vec<Box<dyn DeadLetterStore>>);

impl Stores {
    pub(super) fn open(place: &Place) -> Result<Self, Failure> {
        let mut stores: Vec<Box<dyn DeadLetterStore>> = Vec::new();
        let mut database = place.database.clone();
        let mut kafka = place.kafka.as_deref().map(brokers).transpose()?;
        if database.is_none() && kafka.is_none() && place.amqp.is_none() {
            let hint = "say where with --data-dir, --kafka, --amqp or --database";
            let running = files::running(place.data_dir.as_deref(), hint)?;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            database = text(&running["databases"]["queue"]);
            let in_memory = running["kafka_in_memory"] == true;
            let config = |at: String| match in_memory {
                true => Ok(in_memory_at(&at)),
                false => brokers(&at),
            };
            kafka = text(&running["kafka"]).map(config).transpose()?;
        }
        if let Some(url) = &database {
            stores.push(in_database(url)?);
        }
        if let Some(url) = &place.amqp {
            let shops = [EMAIL_JOBS, USER_CREATED_WELCOME, USER_CREATED_AUDIT];
            let queues = match place.queue.as_slice() {
                [] => shops.map(str::to_owned).to_vec(),
                given => given.to_vec(),
            };
            let letters = AmqpDeadLetters::of(url, NAME, queues).map_err(unusable)?;
            stores.push(Box::new(letters));
        }
        if let Some(config) = &kafka {
            stores.push(on_topics(config)?);
        }
        Ok(Self(stores))
    }

    /// The queues of this database, and then the topics of these brokers.
    pub(super) fn of(database: &str, brokers: &KafkaConfig) -> Result<Self, Failure> {
        Ok(Self(vec![in_database(database)?, on_topics(brokers)?]))
    }

    /// [`Sweep::run`] over all of them, with one limit.
    pub(super) async fn sweep<'a>(
        &'a self,
        sweep: &'a Sweep,
        act: Act<'a>,
        progress: Progress<'a>,
    ) -> Result<Swept, Failure> {
        let stores: Vec<_> = self.0.iter().map(AsRef::as_ref).collect();
        let swept = sweep.run_over(stores, act, progress).await;
        swept.map_err(|error| Failure::new(error.to_string()))
    }
}

fn in_database(url: &str) -> Result<Box<dyn DeadLetterStore>, Failure> {
    let pool = chassis::db::connect(url, CONNECTIONS, NAME)?;
    Ok(Box::new(PgDeadLetters::new(pool)))
}

fn on_topics(brokers: &KafkaConfig) -> Result<Box<dyn DeadLetterStore>, Failure> {
    let letters = KafkaDeadLetters::new(brokers, NAME).map_err(unusable)?;
    Ok(Box::new(letters))
}

fn unusable(error: MessagingError) -> Failure {
    Failure::configuration(error.to_string())
}

/// The brokers at these addresses, with the account and the TLS that the environment says, as it does for the services. What it
/// says is not ignored: a password that was to be kept secret would go over the wire as it is.
fn brokers(addresses: &str) -> Result<KafkaConfig, Failure> {
    with_account(KafkaConfig {
        authority: setting("KAFKA_CA", kafka_ca)?,
        ..KafkaConfig::new(addresses, NAME)
    })
}

/// The Kafka in memory. It has neither TLS nor accounts, whatever the environment says of other brokers.
fn in_memory_at(address: &str) -> KafkaConfig {
    KafkaConfig::new(address, NAME)
}

fn with_account(config: KafkaConfig) -> Result<KafkaConfig, Failure> {
    let account = match (set("KAFKA_USERNAME"), set("KAFKA_PASSWORD")) {
        (None, None) => None,
        (Some(name), Some(password)) => {
            let mechanism = setting("KAFKA_MECHANISM", kafka_mechanism)?;
            Some(Account::new(name, password).by(mechanism.unwrap_or_default()))
        }
        _ => {
            let half = "KAFKA_USERNAME and KAFKA_PASSWORD come together or not at all";
            return Err(Failure::configuration(half));
        }
    };
    Ok(config.with_account(account))
}

/// What the environment says, as `read` understands it.
fn setting<T>(name: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, Failure> {
    let read = set(name).map(|text| read(&text)).transpose();
    read.map_err(|why| Failure::configuration(format!("{name}: {why}")))
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
