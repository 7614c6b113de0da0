//! A cluster, mock or real, and clients of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher, Position};
use messaging::{Delivery, Handler, Message, Status};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, TopicPartitionList};

use super::{PATIENCE, Running, body};

/// What a test runs on: librdkafka's mock cluster, or Apache Kafka in a container.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "the containers target makes the real ones")]
pub(crate) enum On {
    Mock,
    /// The broker of all tests.
    Real,
    /// A broker that may be stopped.
    RealOfItsOwn,
}

enum Broker {
    Mock(Box<MockCluster<'static, DefaultProducerContext>>),
    Shared,
    Own(Box<containers::Kafka>),
}

/// A cluster with one broker, and clients that know it.
pub(crate) struct Kafka {
    broker: Broker,
    pub(crate) config: KafkaConfig,
    pub(crate) publisher: KafkaPublisher,
}

impl Kafka {
    /// A mock cluster.
    pub(crate) fn start(topics: &[(&str, i32)]) -> Self {
        log();
        let cluster = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).unwrap();
        }
        let brokers = cluster.bootstrap_servers();
        Self::at(&brokers, Broker::Mock(Box::new(cluster)))
    }

    pub(crate) async fn on(on: On, topics: &[(&str, i32)]) -> Self {
        let kafka = match on {
            On::Mock => return Self::start(topics),
            On::Real => Self::at(containers::Kafka::shared().await.brokers(), Broker::Shared),
            On::RealOfItsOwn => {
                let own = containers::Kafka::own().await;
                let brokers = own.brokers().to_owned();
                Self::at(&brokers, Broker::Own(Box::new(own)))
            }
        };
        log();
        kafka.create_topics(topics).await;
        kafka
    }

    fn at(brokers: &str, broker: Broker) -> Self {
        let mut config = KafkaConfig::new(brokers, "test");
        config.fetch_wait = Duration::from_millis(10);
        let publisher = KafkaPublisher::new(&config).unwrap();
        Self {
            broker,
            config,
            publisher,
        }
    }

    /// On a real broker.
    pub(crate) async fn create_topics(&self, topics: &[(&str, i32)]) {
        if topics.is_empty() {
            return;
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.config.brokers);
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let topics = topics.iter().map(|(topic, partitions)| {
            NewTopic::new(topic, *partitions, TopicReplication::Fixed(1))
        });
        let topics: Vec<_> = topics.collect();
        let options = AdminOptions::new();
        for created in admin.create_topics(&topics, &options).await.unwrap() {
            created.unwrap();
        }
    }

    /// The mock, for faults that only it can make.
    pub(crate) fn mock(&self) -> &MockCluster<'static, DefaultProducerContext> {
        match &self.broker {
            Broker::Mock(cluster) => cluster,
            _ => panic!("this test is for the mock"),
        }
    }

    pub(crate) async fn broker_down(&self) {
        match &self.broker {
            Broker::Mock(cluster) => cluster.broker_down(1).unwrap(),
            Broker::Own(broker) => broker.stop().await,
            Broker::Shared => panic!("others use it"),
        }
    }

    pub(crate) async fn broker_up(&self) {
        match &self.broker {
            Broker::Mock(cluster) => cluster.broker_up(1).unwrap(),
            Broker::Own(broker) => broker.start().await,
            Broker::Shared => panic!("others use it"),
        }
    }

    /// Kills a real broker, and starts it again on what it had on its disk.
    #[allow(dead_code, reason = "the containers target has real ones")]
    pub(crate) async fn kill_and_restart(&self) {
        match &self.broker {
            Broker::Own(broker) => {
                broker.kill().await;
                broker.start().await;
            }
            Broker::Mock(_) | Broker::Shared => panic!("this test is for a broker of its own"),
        }
    }

    pub(crate) async fn publish(&self, topic: &str, key: &str, body: &str) -> Position {
        let message = Message::new(body.to_owned()).with_key(key);
        self.publisher.send(topic, &message).await.unwrap()
    }

    /// Publishes as a producer does that compresses: the broker limits what it gets, not what readers get.
    pub(crate) async fn publish_compressed(&self, topic: &str, message: &Message) -> Position {
        let config = self.config.clone();
        let config = config.with_setting("compression.type", "lz4");
        let config = config.with_setting("message.max.bytes", "16000000");
        let publisher = KafkaPublisher::new(&config).unwrap();
        publisher.send(topic, message).await.unwrap()
    }

    /// The offsets that a group has committed, of those partitions of a topic of four that have one.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> Vec<i64> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.config.brokers);
        let reader: BaseConsumer = config.set("group.id", group).create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, 3);
        let committed = reader.committed_offsets(asked, PATIENCE).unwrap();
        let offsets = committed.elements().into_iter();
        let offsets = offsets.filter_map(|element| element.offset().to_raw());
        offsets.filter(|offset| *offset >= 0).collect()
    }

    pub(crate) fn consume(&self, group: &str, topic: &str, handler: Arc<dyn Handler>) -> Running {
        self.consume_with(options(group, topic), handler, Status::ignore())
    }

    pub(crate) fn consume_with(
        &self,
        options: ConsumerOptions,
        handler: Arc<dyn Handler>,
        status: Status,
    ) -> Running {
        let config = self.config.clone();
        Running::spawn(move |shutdown| async move {
            messaging::kafka::consume(&config, options, handler, status, shutdown).await
        })
    }
}

/// These tests on the mock; `tests/containers` runs them on the real one.
macro_rules! on_mock {
    ($($case:ident),* $(,)?) => {
        mod on_mock {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::support::kafka::On::Mock).await;
            })*
        }
    };
}
pub(crate) use on_mock;

fn log() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
}

/// Options with short delays.
pub(crate) fn options(group: &str, topic: &str) -> ConsumerOptions {
    let mut options = ConsumerOptions::new(group, [topic]);
    options.backoff = Duration::from_millis(2);
    options.backoff_cap = Duration::from_millis(20);
    options
}

/// Bodies by key, in the order in which they were done.
pub(crate) fn by_key(done: &[Delivery]) -> HashMap<String, Vec<String>> {
    let mut keys: HashMap<String, Vec<String>> = HashMap::new();
    for delivery in done {
        keys.entry(delivery.message.key.clone().unwrap())
            .or_default()
            .push(body(delivery));
    }
    keys
}

/// The first numbers, as text.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}
