//! The engines that need no container.

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use embedded::postgres::{Cluster, OnExit, Options};
use embedded::testing::Link;
use messaging::kafka::{KafkaPublisher, dead_letter_topic};
use messaging::memory::MemoryBus;
use messaging::pg_queue::{ConsumeOptions, PgQueue};
use messaging::{Destination, Handler, Message, Publisher, Queue, Status};
use parking_lot::Mutex;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;

use super::nature::{MEMORY, MOCK_KAFKA, POSTGRES};
use super::observed::Named;
use super::processes::Seat;
use super::{Engine, Nature, Terms};
use crate::support::kafka::{Kafka, options};
use crate::support::{Running, pg, unique};

/// Enough for members that join and leave to have something to hand over.
pub(crate) const PARTITIONS: i32 = 8;

pub(crate) struct InMemory {
    bus: MemoryBus,
    to: Destination,
}

impl Engine for InMemory {
    const NATURE: Nature = MEMORY;

    async fn start() -> Self {
        Self {
            bus: MemoryBus::new(),
            to: Destination::Topic(unique("t")),
        }
    }
    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.bus.clone())
    }
    fn destination(&self) -> Destination {
        self.to.clone()
    }
    async fn publish_foreign(&self, message: Message) {
        self.publish(message).await;
    }
    async fn subscribe_on(
        &self,
        _name: &str,
        handler: Arc<dyn Handler>,
        _terms: Terms,
        _status: Status,
    ) -> Running {
        Running::spawn(|shutdown| {
            let subscription = self.bus.subscribe(&self.to, handler, shutdown);
            async move {
                subscription.await;
                Ok(())
            }
        })
    }
    async fn seat(&self, _name: &str) -> Option<Seat> {
        None
    }
    fn named(&self, _name: &str) -> Named {
        Named {
            system: "memory",
            destination: self.to.name().to_owned(),
            group: None,
            parked_in: None,
        }
    }
    async fn read_parked(&self, _name: &str, _handler: Arc<dyn Handler>) -> Option<Running> {
        None
    }
    async fn take_away(&self) {
        unreachable!("it is this process")
    }
    async fn bring_back(&self) {
        unreachable!("it is this process")
    }
    async fn kill_and_restart(&mut self) {
        self.bus = MemoryBus::new();
    }
}

/// Consumer options of a stream for a case's terms.
pub(crate) fn on_stream(
    group: &str,
    topic: &str,
    terms: &Terms,
) -> messaging::kafka::ConsumerOptions {
    let mut options = options(group, topic);
    [options.backoff, options.backoff_cap] = terms.pause;
    options.drain = terms.drain;
    options
}

/// What a group's metrics are called.
pub(crate) fn on_topic(topic: &str, group: &str) -> Named {
    Named {
        system: "kafka",
        destination: topic.to_owned(),
        group: Some(group.to_owned()),
        parked_in: Some(dead_letter_topic(topic, group)),
    }
}

/// Consumer options of a queue for a case's terms.
pub(crate) fn on_queue(terms: &Terms) -> ConsumeOptions {
    ConsumeOptions {
        backoff: terms.pause[0],
        backoff_cap: terms.pause[1],
        drain: terms.drain,
        visibility: terms.lease,
        ..pg::options()
    }
}

pub(crate) struct OnMockKafka {
    kafka: Kafka,
    publisher: Arc<KafkaPublisher>,
    topic: String,
}

impl OnMockKafka {
    fn on(topic: String) -> Self {
        let kafka = Kafka::start(&[(&topic, PARTITIONS)]);
        let publisher = Arc::new(KafkaPublisher::new(&kafka.config).unwrap());
        Self {
            kafka,
            publisher,
            topic,
        }
    }
}

impl Engine for OnMockKafka {
    const NATURE: Nature = MOCK_KAFKA;

    async fn start() -> Self {
        Self::on(unique("conformance"))
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
    async fn seat(&self, _name: &str) -> Option<Seat> {
        None
    }
    fn named(&self, name: &str) -> Named {
        on_topic(&self.topic, name)
    }
    async fn read_parked(&self, name: &str, handler: Arc<dyn Handler>) -> Option<Running> {
        let parked = dead_letter_topic(&self.topic, name);
        Some(self.kafka.consume("reader", &parked, handler))
    }
    async fn take_away(&self) {
        self.kafka.broker_down().await;
    }
    async fn bring_back(&self) {
        self.kafka.broker_up().await;
    }
    async fn kill_and_restart(&mut self) {
        *self = Self::on(self.topic.clone());
    }
}

pub(crate) struct OnPostgres {
    queue: PgQueue,
    pool: PgPool,
    /// Between the queue and its database.
    link: Link,
    /// Over the link.
    url: String,
    /// Declaring needs the database, and a case may have taken it away.
    known: Mutex<HashSet<String>>,
    own: Option<Own>,
}

/// A server of a case's own. Dropped in this order.
struct Own {
    cluster: Cluster,
    directory: tempfile::TempDir,
}

const DATABASE: &str = "queue";

impl OnPostgres {
    async fn at(url: &str, own: Option<Own>) -> Self {
        let (link, url) = Link::to_database(url).await;
        let pool = PgPoolOptions::new().max_connections(20);
        // Longer than a busy machine takes to connect, and short beside what a test waits for an outage to be told.
        let pool = pool.acquire_timeout(Duration::from_secs(10));
        let pool = pool.connect(&url).await.unwrap();
        let queue = PgQueue::new(pool.clone());
        queue.install().await.unwrap();
        Self {
            queue,
            pool,
            link,
            url,
            known: Mutex::default(),
            own,
        }
    }

    async fn introduce_once(&self, name: &str) {
        if self.known.lock().insert(name.to_owned()) {
            self.queue.declare(name).await.unwrap();
            self.queue.bind("facts", name).await.unwrap();
        }
    }
}

impl Own {
    async fn start(directory: tempfile::TempDir) -> Self {
        let path = directory.path().join("cluster");
        let options = Options {
            on_exit: OnExit::Stop,
            ..Options::default()
        };
        let start = move || Cluster::start(embedded::testing::binaries(), &path, &options);
        let cluster = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
        cluster.create_database(DATABASE).await.unwrap();
        Self { cluster, directory }
    }
}

impl Engine for OnPostgres {
    const NATURE: Nature = POSTGRES;

    async fn start() -> Self {
        Self::at(&embedded::testing::fresh_database().url, None).await
    }
    async fn start_own() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("messaging-")
            .tempdir()
            .unwrap();
        // PostgreSQL does not run as root, and whoever it runs as must reach its directory.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let own = Own::start(directory).await;
        Self::at(&own.cluster.url(DATABASE), Some(own)).await
    }
    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.queue.clone())
    }
    fn destination(&self) -> Destination {
        Destination::Exchange("facts".into())
    }
    async fn publish_foreign(&self, message: Message) {
        sqlx::query(
            "INSERT INTO mq_message (queue, key, headers, payload)
             SELECT queue, $1, $2, $3 FROM mq_binding WHERE exchange = 'facts'",
        )
        .bind(&message.key)
        .bind(Json(&message.headers))
        .bind(&message.payload[..])
        .execute(&self.pool)
        .await
        .unwrap();
    }
    async fn subscribe_on(
        &self,
        name: &str,
        handler: Arc<dyn Handler>,
        terms: Terms,
        status: Status,
    ) -> Running {
        self.introduce_once(name).await;
        pg::consume_watched(&self.queue, name, on_queue(&terms), handler, status)
    }
    async fn seat(&self, name: &str) -> Option<Seat> {
        self.introduce_once(name).await;
        Some(Seat::Postgres {
            url: self.url.clone(),
            queue: name.to_owned(),
        })
    }
    fn named(&self, name: &str) -> Named {
        Named {
            system: "postgresql",
            destination: name.to_owned(),
            group: None,
            parked_in: Some(format!("{name}{}", messaging::DEAD_SUFFIX)),
        }
    }
    fn own_name(&self) -> String {
        unique("observed")
    }
    async fn read_parked(&self, name: &str, handler: Arc<dyn Handler>) -> Option<Running> {
        let dead = format!("{name}{}", messaging::DEAD_SUFFIX);
        Some(pg::consume(&self.queue, &dead, pg::options(), handler))
    }
    async fn take_away(&self) {
        self.link.cut();
    }
    async fn bring_back(&self) {
        self.link.mend();
    }
    async fn kill_and_restart(&mut self) {
        let Own {
            mut cluster,
            directory,
        } = self.own.take().unwrap();
        let killed = Command::new("kill")
            .args(["-9", &cluster.pid().to_string()])
            .status();
        assert!(killed.unwrap().success());
        crate::support::eventually("the server is dead", async || cluster.ended().is_some()).await;
        drop(cluster);
        let own = Own::start(directory).await;
        let url = own.cluster.url(DATABASE);
        *self = Self::at(&url, Some(own)).await;
    }
}
