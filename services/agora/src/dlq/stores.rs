//! The engines whose dead letters are meant.

use contracts::queues::{EMAIL_JOBS, USER_CREATED_AUDIT, USER_CREATED_WELCOME};
use messaging::MessagingError;
use messaging::amqp::AmqpDeadLetters;
use messaging::dead_letters::{Act, DeadLetterStore, Progress, Sweep, Swept};
use messaging::kafka::{KafkaConfig, KafkaDeadLetters};
use messaging::pg_queue::PgDeadLetters;
use serde_json::Value;

use super::args::Place;
use crate::failure::Failure;
use crate::files;

/// How we introduce ourselves.
const NAME: &str = "agora-dlq";
/// One statement after the other.
const CONNECTIONS: u32 = 1;

/// One after the other.
pub(super) struct Stores(Vec<Box<dyn DeadLetterStore>>);

impl Stores {
    pub(super) fn open(place: &Place) -> Result<Self, Failure> {
        let mut stores: Vec<Box<dyn DeadLetterStore>> = Vec::new();
        let (mut database, mut kafka) = (place.database.clone(), place.kafka.clone());
        if database.is_none() && kafka.is_none() && place.amqp.is_none() {
            let hint = "say where with --data-dir, --kafka, --amqp or --database";
            let running = files::running(place.data_dir.as_deref(), hint)?;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            database = text(&running["databases"]["queue"]);
            kafka = text(&running["kafka"]);
        }
        if let Some(url) = &database {
            let pool = chassis::db::connect(url, CONNECTIONS, NAME)?;
            stores.push(Box::new(PgDeadLetters::new(pool)));
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
        if let Some(brokers) = &kafka {
            let config = KafkaConfig::new(brokers, NAME).with_account(
                account()
                    .as_ref()
                    .map(|(username, password)| (username.as_str(), password.as_str())),
            );
            let letters = KafkaDeadLetters::new(&config, NAME).map_err(unusable)?;
            stores.push(Box::new(letters));
        }
        Ok(Self(stores))
    }

    /// [`Sweep::run`] over all of them, with one limit.
    pub(super) async fn sweep<'a>(
        &'a self,
        sweep: &'a Sweep,
        act: Act<'a>,
        progress: Progress<'a>,
    ) -> Result<Swept, Failure> {
        let stores = self.0.iter().map(AsRef::as_ref);
        let swept = sweep.run_over(stores, act, progress).await;
        swept.map_err(|error| Failure::new(error.to_string()))
    }
}

fn unusable(error: MessagingError) -> Failure {
    Failure::configuration(error.to_string())
}

fn account() -> Option<(String, String)> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("KAFKA_USERNAME").zip(set("KAFKA_PASSWORD"))
}
