//! The mock cluster, used by a plain producer and a plain consumer.

use std::time::Duration;

use embedded::kafka::{MockKafka, PARTITION_MAX_BYTES};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn what_is_published_is_consumed() {
    let kafka = MockKafka::start(&[("letters", 3)]).expect("a cluster");
    publish(&kafka, "letters", "a", "alpha");
    assert_eq!(consume_one(&kafka, "letters"), "alpha");
    let metadata = consumer(&kafka)
        .fetch_metadata(Some("letters"), PATIENCE)
        .expect("metadata");
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
}

#[test]
fn a_cluster_that_was_down_still_has_its_messages() {
    let kafka = MockKafka::start(&[("letters", 1)]).expect("a cluster");
    publish(&kafka, "letters", "a", "alpha");
    kafka.down();
    kafka.settle();
    let down = consumer(&kafka).fetch_metadata(Some("letters"), Duration::from_millis(500));
    assert!(down.is_err(), "a cluster that is down must not answer");
    kafka.up();
    assert_eq!(consume_one(&kafka, "letters"), "alpha");
}

/// The bound of a cluster's memory is its number of partitions: this is what each of them adds.
#[test]
fn a_partition_keeps_its_newest_five_mebibytes() {
    const PAYLOAD: usize = 100_000;
    let kafka = MockKafka::start(&[("letters", 1)]).expect("a cluster");
    let letter = "x".repeat(PAYLOAD);
    let fill = 2 * PARTITION_MAX_BYTES / PAYLOAD;
    let producer = producer(&kafka);
    for _ in 0..fill {
        // One by one: a whole batch would be forgotten at once.
        send(&producer, "letters", "k", &letter);
    }
    let (low, high) = consumer(&kafka)
        .fetch_watermarks("letters", 0, PATIENCE)
        .expect("the offsets");
    assert_eq!(usize::try_from(high), Ok(fill));
    let kept = usize::try_from(high - low).expect("a count") * PAYLOAD;
    assert!(
        (PARTITION_MAX_BYTES - 2 * PAYLOAD..=PARTITION_MAX_BYTES).contains(&kept),
        "{kept} bytes"
    );
}

#[test]
fn two_clusters_know_nothing_of_each_other() {
    let one = MockKafka::start(&[("letters", 1)]).expect("a cluster");
    let two = MockKafka::start(&[("letters", 1)]).expect("a cluster");
    publish(&one, "letters", "k", "one");
    publish(&two, "letters", "k", "two");
    assert_eq!(consume_one(&one, "letters"), "one");
    drop(one);
    assert_eq!(consume_one(&two, "letters"), "two");
}

#[test]
fn a_bad_topic_is_an_error() {
    let error = MockKafka::start(&[("letters", 0)]).expect_err("no partitions");
    assert!(error.to_string().starts_with("mock Kafka: "), "{error}");
}

fn publish(kafka: &MockKafka, topic: &str, key: &str, payload: &str) {
    send(&producer(kafka), topic, key, payload);
}

fn producer(kafka: &MockKafka) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .create()
        .expect("a producer")
}

/// Sends one record and waits until it is there.
fn send(producer: &BaseProducer, topic: &str, key: &str, payload: &str) {
    producer
        .send(BaseRecord::to(topic).key(key).payload(payload))
        .expect("room in the queue");
    producer.flush(PATIENCE).expect("delivery");
}

fn consumer(kafka: &MockKafka) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .set("group.id", "readers")
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "10")
        .create()
        .expect("a consumer")
}

fn consume_one(kafka: &MockKafka, topic: &str) -> String {
    let consumer = consumer(kafka);
    consumer.subscribe(&[topic]).expect("a subscription");
    let end = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < end {
        // Errors on the way to a connection are repeated by the client itself.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        }
    }
    panic!("no message came");
}
