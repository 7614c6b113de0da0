//! An Apache Kafka for an example: the one that `KAFKA_BROKERS` names, or with `--container` one in a container.

use messaging::kafka::{KafkaConfig, KafkaPublisher};
use messaging::{Message, MessagingError, PublishError};
use uuid::Uuid;

/// Partitions of a topic in the container.
const PARTITIONS: u16 = 12;
const CONTAINER: &str = "--container";

/// A Kafka outside of this process, with a topic of this run.
pub(crate) struct Kafka {
    pub(crate) config: KafkaConfig,
    pub(crate) topic: String,
    /// Removed when this is dropped.
    _container: Option<containers::Kafka>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Config(#[from] MessagingError),
    #[error("the broker must have the topic or make it when it is written to: {0}")]
    Topic(#[from] PublishError),
}

impl Kafka {
    /// The one that was asked for; `None` if none was. `name` is the client's, and begins the topic's.
    pub(crate) async fn asked_for(name: &str) -> Result<Option<Self>, Unusable> {
        let mut container = None;
        if std::env::args().any(|argument| argument == CONTAINER) {
            container = Some(containers::Kafka::making_topics(PARTITIONS).await);
        }
        let started = container.as_ref().map(|kafka| kafka.brokers().to_owned());
        let Some(brokers) = started.or_else(|| std::env::var("KAFKA_BROKERS").ok()) else {
            return Ok(None);
        };
        let kafka = Self {
            config: KafkaConfig::new(brokers, name),
            topic: format!("{name}-{}", Uuid::new_v4().simple()),
            _container: container,
        };
        kafka.make_topic().await?;
        Ok(Some(kafka))
    }

    /// Writes to the topic, so that it is there before anything is measured. The message has no key and is none of the events.
    async fn make_topic(&self) -> Result<(), Unusable> {
        let publisher = KafkaPublisher::new(&self.config)?;
        publisher.send(&self.topic, &Message::new("")).await?;
        Ok(())
    }
}

/// The numbers of the command line, in their order.
pub(crate) fn numbers() -> Result<Vec<u64>, std::num::ParseIntError> {
    let arguments = std::env::args().skip(1);
    let numbers = arguments.filter(|argument| argument != CONTAINER);
    numbers.map(|number| number.parse()).collect()
}
