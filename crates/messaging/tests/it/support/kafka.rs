//! A mock cluster, and clients of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher};
use messaging::{Delivery, Destination, Handler, Message, Publisher, Status};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{Running, body};

/// A mock cluster with one broker, and clients that know it.
pub(crate) struct Kafka {
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    pub(crate) config: KafkaConfig,
    pub(crate) publisher: KafkaPublisher,
}

impl Kafka {
    pub(crate) fn start(topics: &[(&str, i32)]) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let cluster = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).unwrap();
        }
        let mut config = KafkaConfig::new(cluster.bootstrap_servers(), "test");
        config.fetch_wait = Duration::from_millis(10);
        let publisher = KafkaPublisher::new(&config).unwrap();
        Self {
            cluster,
            config,
            publisher,
        }
    }

    pub(crate) async fn publish(&self, topic: &str, key: &str, body: &str) -> (i32, i64) {
        let message = Message::new(body.to_owned()).with_key(key);
        let receipt = self
            .publisher
            .publish(&Destination::Topic(topic.into()), message)
            .await
            .unwrap();
        (receipt.partition.unwrap(), receipt.offset.unwrap())
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
