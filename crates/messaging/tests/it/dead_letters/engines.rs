//! The engines that park, each with one group or queue.

use std::sync::Arc;

use messaging::dead_letters::DeadLetterStore;
use messaging::kafka::{
    self, KafkaDeadLetters, ParkIn, dead_letter_topic, group_queue, retry_topic,
};
use messaging::pg_queue::PgDeadLetters;
use messaging::{Destination, Message, Publisher, Queue, Status};

use crate::support::kafka::{Kafka, On};
use crate::support::pg::{self, Pg};
use crate::support::{Recorder, Running, unique};

const GROUP: &str = "billing";

/// An engine with one group or queue whose messages are parked.
pub(crate) trait Office: Sized {
    /// Whether looking leaves the order as it is.
    const KEEPS_ORDER: bool = true;
    /// The most letters that are sent twice by a redrive that is killed once; `None` where the kill may also lose
    /// acknowledgements that are on their way.
    const DOUBLES_AT_KILL: Option<usize>;

    async fn open() -> Self;
    fn store(&self) -> Arc<dyn DeadLetterStore>;
    fn place(&self) -> String;
    /// What the letters say they are from.
    fn source(&self) -> (String, Option<String>);
    async fn publish(&self, message: Message);
    fn consume(&self, handler: Arc<Recorder>) -> Running;
    /// What another group of the same topic gets; nothing where there are no groups.
    fn others(&self) -> Option<(Arc<Recorder>, Running)>;

    async fn send(&self, range: std::ops::Range<usize>) {
        let all = range.map(|n| self.publish(message(n)));
        futures::future::join_all(all).await;
    }
}

/// With an id, of one of seven keys.
pub(super) fn message(n: usize) -> Message {
    Message::new(n.to_string())
        .with_key(format!("key-{}", n % 7))
        .with_header("ce_id", format!("id-{n}"))
        .with_header("ce_type", format!("test.{}.v1", n % 2))
}

/// In PostgreSQL.
pub(crate) struct InPg {
    pg: Pg,
    queue: String,
}

impl Office for InPg {
    const DOUBLES_AT_KILL: Option<usize> = Some(0);

    async fn open() -> Self {
        let (pg, queue) = (Pg::start().await, unique("jobs"));
        pg.queue.declare(&queue).await.unwrap();
        Self { pg, queue }
    }
    fn store(&self) -> Arc<dyn DeadLetterStore> {
        Arc::new(PgDeadLetters::new(self.pg.pool.clone()))
    }
    fn place(&self) -> String {
        format!("{}.dead", self.queue)
    }
    fn source(&self) -> (String, Option<String>) {
        (self.queue.clone(), None)
    }
    async fn publish(&self, message: Message) {
        let to = Destination::Queue(self.queue.clone());
        self.pg.queue.publish(&to, message).await.unwrap();
    }
    fn consume(&self, handler: Arc<Recorder>) -> Running {
        pg::consume(&self.pg.queue, &self.queue, pg::options(), handler)
    }
    fn others(&self) -> Option<(Arc<Recorder>, Running)> {
        None
    }
}

/// In topics.
pub(crate) struct InTopics {
    kafka: Kafka,
    topic: String,
}

impl InTopics {
    pub(crate) async fn on(on: On) -> Self {
        let topic = unique("facts");
        let (dead, retry) = (dead_letter_topic(&topic, GROUP), retry_topic(&topic, GROUP));
        let kafka = Kafka::on(on, &[(&topic, 4), (&dead, 1), (&retry, 1)]).await;
        Self { kafka, topic }
    }

    fn options(&self, group: &str) -> kafka::ConsumerOptions {
        crate::support::kafka::options(group, &self.topic)
    }
}

impl Office for InTopics {
    const DOUBLES_AT_KILL: Option<usize> = Some(1);

    async fn open() -> Self {
        Self::on(On::Mock).await
    }
    fn store(&self) -> Arc<dyn DeadLetterStore> {
        let topics = [self.topic.as_str()];
        Arc::new(KafkaDeadLetters::of(&self.kafka.config, GROUP, topics).unwrap())
    }
    fn place(&self) -> String {
        dead_letter_topic(&self.topic, GROUP)
    }
    fn source(&self) -> (String, Option<String>) {
        (self.topic.clone(), Some(GROUP.to_owned()))
    }
    async fn publish(&self, message: Message) {
        self.kafka
            .publisher
            .send(&self.topic, &message)
            .await
            .unwrap();
    }
    fn consume(&self, handler: Arc<Recorder>) -> Running {
        let options = self.options(GROUP);
        self.kafka.consume_with(options, handler, Status::ignore())
    }
    fn others(&self) -> Option<(Arc<Recorder>, Running)> {
        let (recorder, options) = (Recorder::new(), self.options("others"));
        let running = self
            .kafka
            .consume_with(options, recorder.clone(), Status::ignore());
        Some((recorder, running))
    }
}

/// In the queue of a group, since the cluster forgets.
pub(crate) struct InGroupQueue {
    topics: InTopics,
    pg: Pg,
}

impl Office for InGroupQueue {
    const DOUBLES_AT_KILL: Option<usize> = Some(0);

    async fn open() -> Self {
        let (topics, pg) = (InTopics::open().await, Pg::start().await);
        Self { topics, pg }
    }
    fn store(&self) -> Arc<dyn DeadLetterStore> {
        let queue = group_queue(&self.topics.topic, GROUP);
        Arc::new(PgDeadLetters::of(self.pg.pool.clone(), [queue]))
    }
    fn place(&self) -> String {
        format!("{}.dead", group_queue(&self.topics.topic, GROUP))
    }
    fn source(&self) -> (String, Option<String>) {
        self.topics.source()
    }
    async fn publish(&self, message: Message) {
        self.topics.publish(message).await;
    }
    fn consume(&self, handler: Arc<Recorder>) -> Running {
        let mut options = self.topics.options(GROUP);
        options.park_in = ParkIn::Queue(Arc::new(self.pg.queue.clone()));
        let kafka = &self.topics.kafka;
        kafka.consume_with(options, handler, Status::ignore())
    }
    fn others(&self) -> Option<(Arc<Recorder>, Running)> {
        self.topics.others()
    }
}
