//! The tests of the Kafka adapter on Apache Kafka.

use std::sync::Arc;

use containers::Test;
use messaging::kafka::{KafkaPublisher, dead_letter_topic};
use messaging::{Destination, Handler, Message, Publisher, Status};

use crate::conformance::engines::{PARTITIONS, on_stream, on_topic};
use crate::conformance::nature::KAFKA;
use crate::conformance::observed::Named;
use crate::conformance::processes::Seat;
use crate::conformance::{self, Engine, Nature, Terms, with_all_cases};
use crate::support::kafka::{Kafka, On};
use crate::support::{Recorder, Running, body, eventually, permanent, unique};
use crate::{kafka_consumer, kafka_failures, kafka_group, kafka_publisher};

struct OnRealKafka {
    kafka: Kafka,
    publisher: Arc<KafkaPublisher>,
    topic: String,
}

impl OnRealKafka {
    async fn on(on: On) -> Self {
        let topic = unique("conformance");
        let parked = ["one", "two"].map(|group| dead_letter_topic(&topic, group));
        let topics = [
            (topic.as_str(), PARTITIONS),
            (&parked[0], 1),
            (&parked[1], 1),
        ];
        let kafka = Kafka::on(on, &topics).await;
        let publisher = Arc::new(KafkaPublisher::new(&kafka.config).unwrap());
        Self {
            kafka,
            publisher,
            topic,
        }
    }

    /// A group for each topic: names of groups are the broker's, and the broker is everybody's.
    fn reader(&self) -> String {
        format!("{}.reader", self.topic)
    }
}

impl Engine for OnRealKafka {
    const NATURE: Nature = KAFKA;

    async fn start() -> Self {
        Self::on(On::Real).await
    }
    async fn start_own() -> Self {
        Self::on(On::RealOfItsOwn).await
    }
    fn publisher(&self) -> Arc<dyn Publisher> {
        self.publisher.clone()
    }
    fn destination(&self) -> Destination {
        Destination::Topic(self.topic.clone())
    }
    async fn publish_foreign(&self, message: Message) {
        self.kafka.publish_compressed(&self.topic, &message).await;
    }
    async fn subscribe_on(
        &self,
        name: &str,
        handler: Arc<dyn Handler>,
        terms: Terms,
        status: Status,
    ) -> Running {
        let options = on_stream(name, &self.topic, &terms);
        self.kafka.consume_with(options, handler, status)
    }
    async fn seat(&self, name: &str) -> Option<Seat> {
        Some(Seat::Kafka {
            brokers: self.kafka.config.brokers.clone(),
            topic: self.topic.clone(),
            group: name.to_owned(),
        })
    }
    fn named(&self, name: &str) -> Named {
        on_topic(&self.topic, name)
    }
    async fn read_parked(&self, name: &str, handler: Arc<dyn Handler>) -> Option<Running> {
        let parked = dead_letter_topic(&self.topic, name);
        Some(self.kafka.consume(&self.reader(), &parked, handler))
    }
    async fn take_away(&self) {
        self.kafka.broker_down().await;
    }
    async fn bring_back(&self) {
        self.kafka.broker_up().await;
    }
    async fn kill_and_restart(&mut self) {
        self.kafka.kill_and_restart().await;
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
    ($($group:ident::$case:ident),* $(,)?) => {
        [$(Test::new(concat!("kafka::", stringify!($case)), conformance::$group::$case::<OnRealKafka>)),*]
    };
}

macro_rules! on_real {
    ($($on:ident: $module:ident::$case:ident),* $(,)?) => {
        [$(Test::new(concat!("kafka::", stringify!($case)), || $module::$case(On::$on))),*]
    };
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    tests.extend(with_all_cases!(on_kafka! {}));
    tests.extend(on_real![
        Real: kafka_consumer::each_key_keeps_its_order_and_partitions_do_not_wait_for_each_other,
        Real: kafka_consumer::an_offset_is_not_stored_before_the_effect,
        RealOfItsOwn: kafka_consumer::it_comes_back_after_the_broker_was_away,
        Real: kafka_group::members_hand_over_without_loss_doubles_or_disorder,
        Real: kafka_group::members_hand_over_by_the_classic_protocol,
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
