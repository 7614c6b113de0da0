//! The publisher: acknowledged, in order per key, bounded, and back after the broker was away.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use messaging::kafka::{KafkaPublisher, MESSAGE_MAX_BYTES, Position};
use messaging::{Destination, Message, PublishError, Publisher};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::kafka::{Kafka, On, on_mock};
use crate::support::logged::Logged;
use crate::support::{Recorder, eventually, unique};

#[tokio::test]
async fn one_key_stays_on_one_partition_and_offsets_grow() {
    let topic = unique("keyed");
    let kafka = Kafka::start(&[(&topic, 12)]);
    let mut partitions = HashSet::new();
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let mut last: Option<Position> = None;
        for n in 0..5 {
            let position = kafka.publish(&topic, key, &n.to_string()).await;
            let follows = |last: Position| {
                last.partition == position.partition && last.offset < position.offset
            };
            assert!(last.is_none_or(follows));
            last = Some(position);
            partitions.insert(position.partition);
        }
    }
    assert!(partitions.len() > 1, "keys are spread");
}

pub(crate) async fn a_key_lands_where_the_java_client_puts_it(on: On) {
    let topic = unique("murmur");
    let kafka = Kafka::on(on, &[(&topic, 100)]).await;
    // The vectors of Apache Kafka's own test of murmur2, folded as its partitioner does.
    for (key, murmur2) in [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("abc", 479_470_107),
    ] {
        let partition = kafka.publish(&topic, key, "x").await.partition;
        assert_eq!(partition, (murmur2 & 0x7fff_ffff) % 100, "{key}");
    }
}

#[tokio::test]
async fn too_large_is_rejected_and_others_go_on() {
    let topic = unique("large");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let large = Message::new(vec![0; MESSAGE_MAX_BYTES + 1]);
    let answer = kafka
        .publisher
        .publish(&Destination::Topic(topic.clone()), large)
        .await;
    assert!(
        matches!(answer, Err(PublishError::TooLarge(_))),
        "{answer:?}"
    );
    kafka.publish(&topic, "k", "small").await;
}

pub(crate) async fn an_unknown_topic_is_rejected(on: On) {
    let kafka = Kafka::on(on, &[]).await;
    let config = kafka
        .config
        .clone()
        .with_setting("allow.auto.create.topics", "false");
    let publisher = KafkaPublisher::new(&config).unwrap();
    let answer = publisher
        .publish(&Destination::Topic(unique("nowhere")), Message::new("x"))
        .await;
    assert!(
        matches!(answer, Err(PublishError::Rejected(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_setting_that_does_not_exist_is_an_error_at_the_start() {
    let kafka = Kafka::start(&[]);
    let error =
        KafkaPublisher::new(&kafka.config.clone().with_setting("no.such", "1")).unwrap_err();
    assert!(error.to_string().contains("no.such"), "{error}");
}

#[tokio::test]
async fn a_message_waits_while_the_broker_is_away() {
    let topic = unique("away");
    let kafka = Kafka::start(&[(&topic, 1)]);
    kafka.publish(&topic, "k", "before").await;
    kafka.mock().broker_down(1).unwrap();
    let message = Message::new("during").with_key("k");
    let publish = kafka.publisher.send(&topic, &message);
    let mut publish = std::pin::pin!(publish);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), &mut publish)
            .await
            .is_err()
    );
    kafka.mock().broker_up(1).unwrap();
    assert_eq!(publish.await.unwrap().offset, 1);
}

#[tokio::test]
async fn a_broker_that_stays_away_makes_it_unavailable_and_it_comes_back() {
    let topic = unique("gone");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let config = kafka
        .config
        .clone()
        .with_setting("message.timeout.ms", "300");
    let publisher = KafkaPublisher::new(&config).unwrap();
    let to = Destination::Topic(topic);
    let publish = async |text: &'static str| {
        publisher
            .publish(&to, Message::new(text).with_key("k"))
            .await
    };
    eventually("it is connected", async || publish("before").await.is_ok()).await;
    kafka.mock().broker_down(1).unwrap();
    for _ in 0..3 {
        let answer = publish("during").await;
        assert!(
            matches!(answer, Err(PublishError::Unavailable(_))),
            "{answer:?}"
        );
    }
    kafka.mock().broker_up(1).unwrap();
    eventually("it publishes again", async || {
        publish("after").await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_queue_holds_waits_and_nothing_is_dropped() {
    // More than the limit of 10,000 messages on their way.
    const COUNT: usize = 12_000;
    let topic = unique("full");
    let kafka = Kafka::start(&[(&topic, 4)]);
    kafka.publish(&topic, "k", "connected").await;
    kafka.mock().broker_down(1).unwrap();
    // None is given up before all of them wait.
    let config = kafka.config.clone();
    let config = config.with_setting("message.timeout.ms", "60000");
    let publisher = Arc::new(KafkaPublisher::new(&config).unwrap());
    let publishes = (0..COUNT).map(|n| {
        let (publisher, topic) = (Arc::clone(&publisher), topic.clone());
        tokio::spawn(async move {
            let message = Message::new(n.to_string()).with_key("k");
            publisher.send(&topic, &message).await
        })
    });
    let publishes: Vec<_> = publishes.collect();
    eventually("the queue is full", async || {
        format!("{publisher:?}").contains("room: 0")
    })
    .await;
    assert!(
        publishes.iter().all(|publish| !publish.is_finished()),
        "nothing is refused"
    );
    kafka.mock().broker_up(1).unwrap();
    let offsets: HashSet<_> = join_all(publishes)
        .await
        .into_iter()
        .map(|answer| answer.unwrap().unwrap().offset)
        .collect();
    assert_eq!(offsets.len(), COUNT);
}

#[tokio::test]
async fn large_messages_wait_for_room_too() {
    // 60 MB, and the queue holds 32.
    let topic = unique("heavy");
    let kafka = Kafka::start(&[(&topic, 1)]);
    kafka.mock().broker_down(1).unwrap();
    let to = Destination::Topic(topic);
    let body = bytes::Bytes::from(vec![7; 600_000]);
    let publishes = (0..100).map(|_| {
        kafka
            .publisher
            .publish(&to, Message::new(body.clone()).with_key("k"))
    });
    let up = async { kafka.mock().broker_up(1).unwrap() };
    let (answers, ()) = tokio::join!(join_all(publishes), up);
    assert!(
        answers.iter().all(Result::is_ok),
        "{:?}",
        answers.iter().find(|a| a.is_err())
    );
}

#[tokio::test]
async fn a_fatal_error_is_healed_by_a_new_producer() {
    let topic = unique("fatal");
    let kafka = Kafka::start(&[(&topic, 1)]);
    kafka.publish(&topic, "k", "0").await;
    // The broker claims that a message before this one is missing: an idempotent producer must not
    // go on after that.
    let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    kafka.mock().request_errors(RDKafkaApiKey::Produce, &[lost]);
    let to = Destination::Topic(topic.clone());
    let log = Logged::begin();
    let several = (0..8).map(|_| {
        let message = Message::new("1").with_key("k");
        kafka.publisher.publish(&to, message)
    });
    let answers = join_all(several).await;
    let is_away = |answer: &Result<_, _>| matches!(answer, Err(PublishError::Unavailable(_)));
    assert!(answers.iter().any(is_away), "{answers:?}");
    let told = log.of("WARN");
    assert_eq!(told.len(), 1, "once for all of them: {told:?}");
    eventually("it publishes again", async || {
        kafka
            .publisher
            .publish(&to, Message::new("2").with_key("k"))
            .await
            .is_ok()
    })
    .await;
    let reader = Recorder::new();
    let running = kafka.consume("reader", &topic, reader.clone());
    reader.wait_done(2).await;
    running.stop().await;
}

on_mock!(
    a_key_lands_where_the_java_client_puts_it,
    an_unknown_topic_is_rejected,
);
