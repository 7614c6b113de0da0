//! Kafka as the neighbours of orders use it: products answers, and a plain consumer reads what is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contracts::events::{StockRejected, StockReserved};
use contracts::topics::{ORDER_EVENTS, STOCK_EVENTS};
use embedded::kafka::MockKafka;
use envelope::{Event, EventData, KAFKA_PREFIX};
use messaging::kafka::{KafkaConfig, KafkaPublisher};
use messaging::{Destination, Message, Publisher as _};
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use crate::app::PATIENCE;

/// Where messages are parked that orders cannot handle.
pub(crate) const DEAD_LETTERS: &str = "stock-events.orders.dlq";

/// What is told on these topics is listened to, and how many partitions each has.
/// A record as it stands on a topic.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) payload: Vec<u8>,
}

impl Record {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name} in {self:?}"))
    }

    pub(crate) fn event_type(&self) -> &str {
        self.header("ce_type")
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.header("ce_sequence").parse().unwrap()
    }

    pub(crate) fn data(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// A Kafka of its own, and everything that was said on it so far.
pub(crate) struct Broker {
    cluster: MockKafka,
    publisher: KafkaPublisher,
    heard: watch::Receiver<Vec<Record>>,
    stop: Arc<AtomicBool>,
}

impl Broker {
    /// With so many partitions of stock events.
    pub(crate) fn start(stock_partitions: i32) -> Self {
        let topics = [
            (ORDER_EVENTS, 4),
            (STOCK_EVENTS, stock_partitions),
            (DEAD_LETTERS, 1),
        ];
        let cluster = embedded::testing::kafka(&topics);
        let publisher =
            KafkaPublisher::new(&KafkaConfig::new(cluster.bootstrap_servers(), "test")).unwrap();
        let (tell, heard) = watch::channel(Vec::new());
        let stop = Arc::new(AtomicBool::new(false));
        let (brokers, stopped) = (cluster.bootstrap_servers().to_owned(), stop.clone());
        std::thread::spawn(move || listen(&brokers, &topics, &tell, &stopped));
        Self {
            cluster,
            publisher,
            heard,
            stop,
        }
    }

    /// It stops to answer.
    pub(crate) fn down(&self) {
        self.cluster.down();
    }

    /// It answers again.
    pub(crate) fn up(&self) {
        self.cluster.up();
    }

    pub(crate) fn address(&self) -> String {
        self.cluster.bootstrap_servers().to_owned()
    }

    /// Waits until at least `count` events of this order were told, and answers all of them in order.
    pub(crate) async fn events(&self, order_id: Uuid, count: usize) -> Vec<Record> {
        let key = order_id.to_string();
        self.records(count, |record| {
            record.topic == ORDER_EVENTS && record.key == key
        })
        .await
    }

    /// Waits until at least `count` messages were parked, and answers them.
    pub(crate) async fn parked(&self, count: usize) -> Vec<Record> {
        self.records(count, |record| record.topic == DEAD_LETTERS)
            .await
    }

    async fn records(&self, count: usize, wanted: impl Fn(&Record) -> bool) -> Vec<Record> {
        let mut heard = self.heard.clone();
        let enough = heard
            .wait_for(|records| records.iter().filter(|record| wanted(record)).count() >= count);
        let Ok(enough) = tokio::time::timeout(PATIENCE, enough).await else {
            panic!(
                "{count} records in time; there were {:#?}",
                self.heard.borrow()
            );
        };
        enough
            .unwrap()
            .iter()
            .filter(|record| wanted(record))
            .cloned()
            .collect()
    }

    /// Says, as products would, that there is stock for an order.
    pub(crate) async fn reserved(&self, order_id: Uuid) -> Event<StockReserved> {
        self.answer(Event::new(StockReserved { order_id })).await
    }

    /// Says, as products would, that there is none.
    pub(crate) async fn rejected(&self, order_id: Uuid, reason: &str) -> Event<StockRejected> {
        let reason = reason.to_owned();
        self.answer(Event::new(StockRejected { order_id, reason }))
            .await
    }

    /// Publishes an event on `stock-events`; also one that was published before.
    pub(crate) async fn answer<T: EventData>(&self, event: Event<T>) -> Event<T> {
        let message = event.to_binary(KAFKA_PREFIX).unwrap();
        self.publish(Message {
            key: Some(event.subject.clone()),
            headers: message.headers,
            payload: message.body,
        })
        .await;
        event
    }

    /// Publishes anything on `stock-events`.
    pub(crate) async fn publish(&self, message: Message) {
        let to = Destination::Topic(STOCK_EVENTS.to_owned());
        self.publisher.publish(&to, message).await.unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Reads all topics from their beginning; joins no group and knows nothing of our crates.
fn listen(
    brokers: &str,
    topics: &[(&str, i32)],
    tell: &watch::Sender<Vec<Record>>,
    stop: &AtomicBool,
) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "plain")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let mut everything = TopicPartitionList::new();
    for &(topic, partitions) in topics {
        for partition in 0..partitions {
            everything
                .add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
    }
    consumer.assign(&everything).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter());
        let record = Record {
            topic: message.topic().to_owned(),
            key: text(message.key().unwrap_or_default()),
            headers: headers
                .map(|header| {
                    (
                        header.key.to_owned(),
                        text(header.value.unwrap_or_default()),
                    )
                })
                .collect(),
            payload: message.payload().unwrap_or_default().to_vec(),
        };
        tell.send_modify(|records| records.push(record));
    }
}
