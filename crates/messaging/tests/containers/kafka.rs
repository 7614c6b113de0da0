//! The tests of the Kafka adapter on Apache Kafka.

use std::sync::Arc;

use containers::Test;
use messaging::kafka::dead_letter_topic;
use messaging::{Destination, Handler, Publisher};

use crate::conformance::{self, Engine, with_all_cases};
use crate::support::kafka::{Kafka, On};
use crate::support::{Recorder, Running, body, eventually, permanent, unique};
use crate::{kafka_consumer, kafka_failures, kafka_group, kafka_publisher};

struct OnRealKafka {
    kafka: Kafka,
    topic: String,
}

impl Engine for OnRealKafka {
    const DURABLE: bool = true;

    async fn start() -> Self {
        let topic = unique("conformance");
        let parked = ["one", "two"].map(|group| dead_letter_topic(&topic, group));
        let topics = [(topic.as_str(), 3), (&parked[0], 1), (&parked[1], 1)];
        let kafka = Kafka::on(On::Real, &topics).await;
        Self { kafka, topic }
    }
    fn publisher(&self) -> &dyn Publisher {
        &self.kafka.publisher
    }
    fn destination(&self) -> Destination {
        Destination::Topic(self.topic.clone())
    }
    async fn subscribe(&self, name: &str, handler: Arc<dyn Handler>) -> Running {
        // A group for each topic: names of groups are the broker's, and the broker is everybody's.
        self.kafka.consume(name, &self.topic, handler)
    }
}

/// Where topics are not made by themselves, the dead-letter topic has to be made too. Until it is, its
/// partition waits: nothing is lost, nothing passes, and the log says why.
async fn a_missing_dead_letter_topic_is_waited_for() {
    let topic = unique("no-graveyard");
    let kafka = Kafka::on(On::Real, &[(&topic, 1)]).await;
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "poison" {
            Err(permanent("unreadable"))
        } else {
            Ok(())
        }
    });
    let group = unique("g");
    let running = kafka.consume(&group, &topic, handler.clone());
    kafka.publish(&topic, "k", "poison").await;
    kafka.publish(&topic, "k", "next").await;
    eventually("the poison was seen", async || !handler.seen().is_empty()).await;
    assert!(handler.done().is_empty(), "nothing passes it");
    kafka
        .create_topics(&[(&dead_letter_topic(&topic, &group), 1)])
        .await;
    handler.wait_done(1).await;
    assert_eq!(handler.done_bodies(), ["next"]);
    running.stop().await;
}

macro_rules! on_kafka {
    ($module:ident; $($case:ident),* $(,)?) => {
        [$(Test::new(concat!("kafka::", stringify!($case)), $module::$case::<OnRealKafka>)),*]
    };
}

macro_rules! on_real {
    ($($on:ident: $module:ident::$case:ident),* $(,)?) => {
        [$(Test::new(concat!("kafka::", stringify!($case)), || $module::$case(On::$on))),*]
    };
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    tests.extend(with_all_cases!(on_kafka! { conformance; }));
    tests.extend(on_real![
        Real: kafka_consumer::each_key_keeps_its_order_and_partitions_do_not_wait_for_each_other,
        Real: kafka_consumer::an_offset_is_not_stored_before_the_effect,
        RealOfItsOwn: kafka_consumer::it_comes_back_after_the_broker_was_away,
        Real: kafka_group::members_hand_over_without_loss_doubles_or_disorder,
        Real: kafka_group::a_partition_is_given_up_only_after_the_message_in_hand,
        Real: kafka_failures::a_permanent_failure_is_parked_with_its_reason_and_its_neighbours_go_on,
        Real: kafka_publisher::a_key_lands_where_the_java_client_puts_it,
        Real: kafka_publisher::an_unknown_topic_is_rejected,
    ]);
    tests.push(Test::new(
        "kafka::a_missing_dead_letter_topic_is_waited_for",
        a_missing_dead_letter_topic_is_waited_for,
    ));
    tests
}
