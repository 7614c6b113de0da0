//! Which of the two protocols of consumer groups is spoken with whom.

use crate::support::broker_proxy::{BrokerProxy, CONSUMER_GROUP_HEARTBEAT, JOIN_GROUP, Shows};
use crate::support::kafka::{Kafka, options};
use crate::support::{Recorder, Watched, eventually, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_without_the_newer_protocol_of_groups_are_served_with_the_classic_one() {
    let topic = unique("classic");
    let mut kafka = Kafka::start(&[(&topic, 4)]);
    let proxy = BrokerProxy::start(&kafka.config.brokers, Shows::Classic).await;
    kafka.config.brokers = proxy.address;
    // The client learns it from its statistics.
    kafka.config = (kafka.config.clone()).with_setting("statistics.interval.ms", "200");
    let watched = Watched::new();
    let handler = Recorder::new();
    let running = kafka.consume_with(options("g", &topic), handler.clone(), watched.status());
    for n in 0..20 {
        kafka.publish(&topic, &format!("k{n}"), "x").await;
    }
    handler.wait_done(20).await;
    watched.up().await;
    running.stop().await;
    let committed: i64 = kafka.committed("g", &topic).iter().sum();
    assert_eq!(committed, 20, "where another member goes on");
}

/// One of the two has no partition, and so nothing by which it could tell that it is a member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_stay_with_the_newer_protocol_where_the_brokers_know_it() {
    let topic = unique("newer");
    let mut kafka = Kafka::start(&[(&topic, 1)]);
    let proxy = BrokerProxy::start(&kafka.config.brokers, Shows::Both).await;
    kafka.config.brokers = proxy.address.clone();
    // Many statistics for each heartbeat.
    kafka.config = (kafka.config.clone()).with_setting("statistics.interval.ms", "100");
    let handler = Recorder::new();
    let members = [(); 2].map(|()| kafka.consume("g", &topic, handler.clone()));
    kafka.publish(&topic, "k", "x").await;
    handler.wait_done(1).await;
    eventually("each has sent some heartbeats", async || {
        proxy.asked(CONSUMER_GROUP_HEARTBEAT) >= 8
    })
    .await;
    assert_eq!(proxy.asked(JOIN_GROUP), 0);
    for member in members {
        member.stop().await;
    }
}
