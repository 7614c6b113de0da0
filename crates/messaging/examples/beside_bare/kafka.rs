//! Kafka: a bare producer and consumer of rdkafka, and ours.

use std::sync::Arc;
use std::time::Duration;

use embedded::kafka::MockKafka;
use futures::StreamExt as _;
use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher, consume};
use messaging::{Destination, Message, Publisher as _, Status};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, Message as _};
use tokio_util::sync::CancellationToken;

use crate::meter::{Handled, Meter, Side};
use crate::{AnyError, compare, in_background, unique};

const PARTITIONS: i32 = 4;

pub(crate) async fn run(pairs: usize, in_container: bool) -> Result<(), AnyError> {
    let (bare_topic, our_topic) = (unique("bare"), unique("ours"));
    let cluster = Cluster::open([&bare_topic, &our_topic], in_container).await?;
    let meter = Meter::new();
    let bare = Arc::new(Bare {
        producer: cluster.bare_producer().create()?,
        topic: bare_topic.clone(),
    });
    let consumer: StreamConsumer = cluster.bare_consumer(&bare_topic).create()?;
    consumer.subscribe(&[&bare_topic])?;
    let reading = in_background(read(consumer, Arc::clone(&meter)));

    let mut config = KafkaConfig::new(&cluster.brokers, "ours");
    config.fetch_wait = cluster.fetch_wait;
    let ours = Arc::new(Ours {
        publisher: KafkaPublisher::new(&config)?,
        topic: Destination::Topic(our_topic.clone()),
    });
    let (options, stop) = (
        ConsumerOptions::new(&our_topic, [&our_topic]),
        CancellationToken::new(),
    );
    let (handler, stopped) = (Arc::new(Handled(Arc::clone(&meter))), stop.clone());
    let consuming = in_background(async move {
        Ok(consume(&config, options, handler, Status::ignore(), stopped).await?)
    });

    compare(cluster.name(), pairs, &meter, &bare, &ours).await?;
    stop.cancel();
    reading.abort();
    consuming.await?;
    cluster.close([&bare_topic, &our_topic]).await
}

/// Brokers, and what has to stay for as long as they are used.
struct Cluster {
    brokers: String,
    /// How long a broker may hold a fetch. The mock does not answer early when a record arrives.
    fetch_wait: Duration,
    admin: Option<AdminClient<DefaultClientContext>>,
    mock: Option<MockKafka>,
    _container: Option<containers::Kafka>,
}

impl Cluster {
    /// A container, the brokers that are named, or the mock; with these topics.
    async fn open(topics: [&str; 2], in_container: bool) -> Result<Self, AnyError> {
        let mut container = None;
        if in_container {
            container = Some(containers::Kafka::own().await);
        }
        let started = container.as_ref().map(|kafka| kafka.brokers().to_owned());
        let Some(brokers) = started.or_else(|| std::env::var("KAFKA_BROKERS").ok()) else {
            let mock = embedded::testing::kafka(&topics.map(|topic| (topic, PARTITIONS)));
            return Ok(Self {
                brokers: mock.bootstrap_servers().to_owned(),
                fetch_wait: Duration::from_millis(10),
                admin: None,
                mock: Some(mock),
                _container: None,
            });
        };
        let mut config = ClientConfig::new();
        let admin: AdminClient<_> = config.set("bootstrap.servers", &brokers).create()?;
        let topics =
            topics.map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)));
        for made in admin.create_topics(&topics, &AdminOptions::new()).await? {
            made.map_err(|(topic, code)| format!("{topic}: {code}"))?;
        }
        Ok(Self {
            brokers,
            fetch_wait: Duration::from_millis(500),
            admin: Some(admin),
            mock: None,
            _container: container,
        })
    }

    fn name(&self) -> &'static str {
        match self.mock {
            Some(_) => "Kafka (mock in this process)",
            None => "Kafka",
        }
    }

    /// Leaves nothing behind at brokers that stay.
    async fn close(self, topics: [&str; 2]) -> Result<(), AnyError> {
        if let Some(admin) = &self.admin {
            admin.delete_topics(&topics, &AdminOptions::new()).await?;
        }
        Ok(())
    }

    /// As `KafkaPublisher` sets it up.
    fn bare_producer(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("message.timeout.ms", "10000")
            .set("queue.buffering.max.messages", "10000")
            .set("queue.buffering.max.kbytes", "32768")
            .set("partitioner", "murmur2_random");
        config
    }

    /// As `consume` sets it up.
    fn bare_consumer(&self, group: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("group.protocol", "consumer")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("fetch.wait.max.ms", self.fetch_wait.as_millis().to_string())
            .set("fetch.error.backoff.ms", "100")
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "1024")
            .set("fetch.queue.backoff.ms", "20");
        config
    }
}

struct Bare {
    producer: FutureProducer,
    topic: String,
}

impl Side for Bare {
    async fn send(&self, message: Message) -> Result<(), AnyError> {
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
        for (key, value) in &message.headers {
            let value = Some(value);
            headers = headers.insert(Header { key, value });
        }
        let record = FutureRecord::to(&self.topic)
            .key(message.key.as_deref().unwrap_or_default())
            .payload(&message.payload[..])
            .headers(headers);
        let sent = self.producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
        Ok(())
    }
}

/// Stores the offset of each message after it was handled; librdkafka commits what is stored.
async fn read(consumer: StreamConsumer, meter: Arc<Meter>) -> Result<(), AnyError> {
    let mut messages = consumer.stream();
    while let Some(message) = messages.next().await {
        let message = message?;
        meter.handled(message.payload().unwrap_or_default());
        consumer.store_offset_from_message(&message)?;
    }
    Ok(())
}

struct Ours {
    publisher: KafkaPublisher,
    topic: Destination,
}

impl Side for Ours {
    async fn send(&self, message: Message) -> Result<(), AnyError> {
        Ok(self.publisher.publish(&self.topic, message).await?)
    }
}
