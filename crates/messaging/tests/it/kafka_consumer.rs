//! One member of a group: order, offsets, bounds, brokers and topics that come and go.

// By path: the target `containers` has this file at another place.
#[path = "kafka_consumer/protocol.rs"]
mod protocol;

use std::time::Duration;

use futures::future::join_all;
use messaging::{Delivery, Destination, Message, Publisher, Status};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::kafka::{Kafka, On, by_key, numbers, on_mock, options};
use crate::support::{Gate, Recorder, Watched, body, eventually, eventually_within, unique};

pub(crate) async fn each_key_keeps_its_order_and_partitions_do_not_wait_for_each_other(on: On) {
    const KEYS: usize = 40;
    const EACH: usize = 50;
    let topic = unique("order");
    let kafka = Kafka::on(on, &[(&topic, 12)]).await;
    // Delays that differ, so that an order which is not kept shows.
    let handler = Recorder::with(|delivery| async move {
        tokio::time::sleep(Duration::from_micros(
            u64::from(body(&delivery).len() as u32) % 3 * 100,
        ))
        .await;
        Ok(())
    });
    let running = kafka.consume("g", &topic, handler.clone());
    let keys = (0..KEYS).map(|key| {
        let (kafka, topic) = (&kafka, &topic);
        async move {
            for n in 0..EACH {
                kafka
                    .publish(topic, &format!("key-{key}"), &n.to_string())
                    .await;
            }
        }
    });
    join_all(keys).await;
    let done = handler.wait_done(KEYS * EACH).await;
    for (key, bodies) in by_key(&done) {
        assert_eq!(bodies, numbers(EACH), "{key}");
    }
    assert_eq!(done.len(), KEYS * EACH);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_partition_does_not_block_the_others() {
    let topic = unique("blocked");
    let kafka = Kafka::start(&[(&topic, 12)]);
    let gate = Gate::closed();
    let waits = gate.clone();
    let handler = Recorder::with(move |delivery| {
        let waits = waits.clone();
        async move {
            if body(&delivery) == "block" {
                waits.pass().await;
            }
            Ok(())
        }
    });
    let running = kafka.consume("g", &topic, handler.clone());
    let blocked = kafka.publish(&topic, "blocked", "block").await.partition;
    let mut others = 0;
    for n in 0..200 {
        let partition = kafka
            .publish(&topic, &format!("k{n}"), "free")
            .await
            .partition;
        others += usize::from(partition != blocked);
    }
    handler.wait_done(others).await;
    gate.open();
    handler.wait_done(201).await;
    running.stop().await;
}

pub(crate) async fn an_offset_is_not_stored_before_the_effect(on: On) {
    let topic = unique("crash");
    let kafka = Kafka::on(on, &[(&topic, 1)]).await;
    for n in 0..5 {
        kafka.publish(&topic, "k", &n.to_string()).await;
    }
    // The third never finishes: as if the process died in the middle of it.
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "2" {
            std::future::pending().await
        } else {
            Ok(())
        }
    });
    let mut short = options("g", &topic);
    short.drain = Duration::from_millis(50);
    let running = kafka.consume_with(short, handler.clone(), Status::ignore());
    handler.wait_done(2).await;
    eventually("the third is in hand", async || handler.seen().len() == 3).await;
    running.stop().await;

    let after = Recorder::new();
    let running = kafka.consume("g", &topic, after.clone());
    after.wait_done(3).await;
    assert_eq!(after.done_bodies(), ["2", "3", "4"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_consumer_loses_nothing() {
    let topic = unique("dropped");
    let kafka = Kafka::start(&[(&topic, 1)]);
    kafka.publish(&topic, "k", "0").await;
    let handler = Recorder::with(|_| async { std::future::pending().await });
    let mut short = options("g", &topic);
    short.drain = Duration::from_millis(50);
    let consume = messaging::kafka::consume(
        &kafka.config,
        short,
        handler.clone(),
        Status::ignore(),
        Default::default(),
    );
    tokio::select! {
        _ = consume => unreachable!("nobody told it to stop"),
        () = eventually("it is in hand", async || !handler.seen().is_empty()) => {}
    }
    let after = Recorder::new();
    let running = kafka.consume("g", &topic, after.clone());
    after.wait_done(1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_does_not_read_ahead_without_bound() {
    // The mock cluster keeps the newest 5 MiB of a partition. So what a consumer that was held up
    // gets afterwards is what it had read ahead, and those 5 MiB.
    const SENT: usize = 300;
    const BODY_BYTES: usize = 100_000;
    let topic = unique("slow");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let gate = Gate::closed();
    let waits = gate.clone();
    let handler = Recorder::with(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass().await;
            Ok(())
        }
    });
    let running = kafka.consume("g", &topic, handler.clone());
    let to = Destination::Topic(topic.clone());
    let publish = async |n: usize| {
        let mut bytes = vec![0; BODY_BYTES];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        kafka
            .publisher
            .publish(&to, Message::new(bytes).with_key("k"))
            .await
            .unwrap();
    };
    publish(0).await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    for n in 1..SENT {
        publish(n).await;
    }
    gate.open();
    let number = |d: &Delivery| u64::from_be_bytes(d.message.payload[..8].try_into().unwrap());
    let done = handler
        .wait("the last message", |done| {
            done.last().is_some_and(|d| number(d) == SENT as u64 - 1)
        })
        .await;
    let megabytes = done.len() * BODY_BYTES / 1_000_000;
    assert!(
        megabytes <= 10,
        "{megabytes} MB of {}",
        SENT * BODY_BYTES / 1_000_000
    );
    assert!(done.is_sorted_by_key(number), "and in order");
    running.stop().await;
}

pub(crate) async fn it_comes_back_after_the_broker_was_away(on: On) {
    let topic = unique("restart");
    let kafka = Kafka::on(on, &[(&topic, 4)]).await;
    let watched = Watched::new();
    let handler = Recorder::new();
    let running = kafka.consume_with(options("g", &topic), handler.clone(), watched.status());
    kafka.publish(&topic, "k", "before").await;
    handler.wait_done(1).await;
    watched.up().await;
    for round in 2..4 {
        kafka.broker_down().await;
        watched.down().await;
        kafka.broker_up().await;
        watched.up().await;
        kafka.publish(&topic, "k", "after").await;
        handler.wait_done(round).await;
    }
    running.stop().await;
}

/// A client that could not say goodbye keeps its partitions until its session of 45 s is over.
const TAKEN_OVER: Duration = Duration::from_secs(90);

/// What is published now is consumed.
async fn goes_on(kafka: &Kafka, topic: &str, handler: &Recorder) {
    kafka.publish(topic, "k", "after").await;
    eventually_within(TAKEN_OVER, "what came after is consumed", async || {
        let done = handler.done();
        done.iter().any(|delivery| body(delivery) == "after")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gets_no_answer_is_replaced_and_loses_nothing() {
    let topic = unique("replaced");
    let kafka = Kafka::start(&[(&topic, 4)]);
    let watched = Watched::new();
    let handler = Recorder::new();
    let mut options = options("g", &topic);
    options.replace_after = Duration::from_millis(100);
    let running = kafka.consume_with(options, handler.clone(), watched.status());
    kafka.publish(&topic, "k", "before").await;
    handler.wait_done(1).await;
    watched.up().await;
    kafka.mock().broker_down(1).unwrap();
    watched.tells("no answer for too long").await;
    kafka.mock().broker_up(1).unwrap();
    goes_on(&kafka, &topic, &handler).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_its_group_forgot_is_replaced_and_loses_nothing() {
    let topic = unique("forgotten");
    let kafka = Kafka::start(&[(&topic, 4)]);
    let watched = Watched::new();
    let handler = Recorder::new();
    let mut options = options("g", &topic);
    options.replace_after = Duration::from_millis(100);
    let running = kafka.consume_with(options, handler.clone(), watched.status());
    watched.up().await;
    // The broker's own idea of the group does not change, so nothing is given to the member anew.
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    let commit = RDKafkaApiKey::OffsetCommit;
    kafka.mock().request_errors(commit, &[unknown]);
    kafka.publish(&topic, "k", "before").await;
    handler.wait_done(1).await;
    watched.replaced().await;
    goes_on(&kafka, &topic, &handler).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_client_that_its_group_forgot_is_replaced() {
    let topic = unique("idle");
    let kafka = Kafka::start(&[(&topic, 4)]);
    let watched = Watched::new();
    let handler = Recorder::new();
    let mut options = options("g", &topic);
    options.replace_after = Duration::from_millis(100);
    let running = kafka.consume_with(options, handler.clone(), watched.status());
    kafka.publish(&topic, "k", "before").await;
    handler.wait_done(1).await;
    eventually("the offset to be committed", async || {
        kafka.committed("g", &topic).contains(&1)
    })
    .await;
    watched.up().await;
    // From now on there is nothing to commit.
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    let commit = RDKafkaApiKey::OffsetCommit;
    kafka.mock().request_errors(commit, &[unknown]);
    watched.replaced().await;
    goes_on(&kafka, &topic, &handler).await;
    assert_eq!(handler.done_bodies(), ["before", "after"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_before_its_broker() {
    let topic = unique("early");
    let kafka = Kafka::start(&[(&topic, 1)]);
    kafka.mock().broker_down(1).unwrap();
    let watched = Watched::new();
    let handler = Recorder::new();
    let running = kafka.consume_with(options("g", &topic), handler.clone(), watched.status());
    watched.down().await;
    kafka.mock().broker_up(1).unwrap();
    watched.up().await;
    kafka.publish(&topic, "k", "x").await;
    handler.wait_done(1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_in_time_while_the_broker_is_away() {
    let topic = unique("stop-away");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let handler = Recorder::new();
    let watched = Watched::new();
    let running = kafka.consume_with(options("g", &topic), handler.clone(), watched.status());
    kafka.publish(&topic, "k", "x").await;
    handler.wait_done(1).await;
    kafka.mock().broker_down(1).unwrap();
    watched.down().await;
    let begun = std::time::Instant::now();
    running.stop().await;
    // The drain and the goodbye have deadlines of 2.5 s and 1 s. Without them it would wait for the broker.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    kafka.mock().broker_up(1).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_does_not_exist_yet_is_waited_for_and_holds_up_no_other() {
    let (topic, other) = (unique("late"), unique("there"));
    let kafka = Kafka::start(&[(&other, 1)]);
    let watched = Watched::new();
    let handler = Recorder::new();
    let mut both = options("g", &topic);
    both.topics.push(other.clone());
    let running = kafka.consume_with(both, handler.clone(), watched.status());
    watched.tells(&topic).await;
    kafka.publish(&other, "k", "x").await;
    handler.wait_done(1).await;
    assert!(!running.ended());
    kafka.mock().create_topic(&topic, 2, 1).unwrap();
    watched.up().await;
    kafka.publish(&topic, "k", "x").await;
    handler.wait_done(2).await;
    running.stop().await;
}

#[tokio::test]
async fn a_setting_that_does_not_exist_is_an_error_at_the_start() {
    let kafka = Kafka::start(&[]);
    let config = kafka.config.clone().with_setting("no.such", "1");
    let options = options("g", "t");
    let error = messaging::kafka::consume(
        &config,
        options,
        Recorder::new(),
        Status::ignore(),
        Default::default(),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("no.such"), "{error}");
}

on_mock!(
    each_key_keeps_its_order_and_partitions_do_not_wait_for_each_other,
    an_offset_is_not_stored_before_the_effect,
    it_comes_back_after_the_broker_was_away,
);
