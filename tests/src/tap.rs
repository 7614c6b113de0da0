//! A plain Kafka consumer that belongs to nobody: it joins no group, reads every partition from its
//! beginning and knows nothing of our crates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

/// The longest wait for the broker's answers.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a broker is, and who it takes us for.
#[derive(Debug, Clone)]
pub struct Brokers {
    /// `host:port`.
    pub address: String,
    /// User name and password, where the broker asks for them.
    pub account: Option<(String, String)>,
}

impl Brokers {
    /// What librdkafka has to know to get in.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        if let Some((username, password)) = &self.account {
            config
                .set("security.protocol", "SASL_PLAINTEXT")
                .set("sasl.mechanisms", "PLAIN")
                .set("sasl.username", username)
                .set("sasl.password", password);
        }
        config
    }
}

/// One record as it stands on the stream.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic that it was read from.
    pub topic: String,
    /// The partition within the topic.
    pub partition: i32,
    /// The record's key.
    pub key: String,
    /// All headers as text.
    pub headers: BTreeMap<String, String>,
    /// The value as JSON.
    pub data: Value,
}

impl Record {
    /// A header's value, empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Asserts everything that CloudEvents 1.0 (binary content mode) and our own rules ask of a record.
    ///
    /// # Panics
    /// When something is missing; the message shows the record.
    pub fn assert_cloud_event(&self) {
        assert_eq!(self.header("ce_specversion"), "1.0", "{self:?}");
        for name in [
            "ce_id",
            "ce_source",
            "ce_type",
            "ce_time",
            "ce_correlationid",
            "ce_sequence",
        ] {
            assert!(!self.header(name).is_empty(), "no {name} in {self:?}");
        }
        assert_eq!(
            self.header("ce_subject"),
            self.key,
            "the subject is the key: {self:?}"
        );
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert!(self.data.is_object(), "{self:?}");
    }

    /// The event's place in the history of its aggregate.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.header("ce_sequence")
            .parse()
            .expect("a sequence number")
    }
}

/// Reads topics in the background, in the order of arrival, until it is dropped.
#[derive(Debug)]
pub struct Tap {
    records: Arc<Mutex<Vec<Record>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Tap {
    /// Starts to read `topics` from their beginnings.
    ///
    /// # Panics
    /// When the broker does not answer or does not know a topic.
    #[must_use]
    pub fn open(brokers: &Brokers, topics: &[&str]) -> Self {
        let consumer: BaseConsumer = brokers
            .client()
            .set("group.id", "tap")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            .create()
            .expect("a consumer");
        let mut everything = TopicPartitionList::new();
        for topic in topics {
            let metadata = consumer
                .fetch_metadata(Some(topic), BROKER_TIMEOUT)
                .expect("metadata");
            for partition in metadata.topics()[0].partitions() {
                everything
                    .add_partition_offset(topic, partition.id(), Offset::Beginning)
                    .expect("a partition");
            }
        }
        consumer.assign(&everything).expect("an assignment");
        let records = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (records, stop) = (records.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                        records.lock().push(record(&message));
                    }
                }
            })
        };
        Self {
            records,
            stop,
            thread: Some(thread),
        }
    }

    /// What has arrived up to now, in the order of arrival.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().clone()
    }

    /// Waits until at least `count` records with this key have arrived and returns all of them.
    #[must_use]
    pub fn of_key(&self, key: &str, count: usize) -> Vec<Record> {
        crate::wait::until(&format!("{count} records with the key {key}"), || {
            let found: Vec<_> = self
                .records()
                .into_iter()
                .filter(|r| r.key == key)
                .collect();
            (found.len() >= count).then_some(found)
        })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The reader can only have panicked on a record, which the test sees as missing.
            let _ = thread.join();
        }
    }
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|h| (h.key.to_owned(), text(h.value)))
            .collect::<BTreeMap<_, _>>()
    });
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        key: text(message.key()),
        headers: headers.unwrap_or_default(),
        data: serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or(Value::Null),
    }
}
