//! The service, with a verb for each thing that happens around it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::{Fatal, Shutdown};
use contracts::events::{OrderConfirmed, UserCreated};
use contracts::jobs::EmailJob;
use contracts::queues::{EMAIL_JOBS, USER_CREATED};
use contracts::topics::{ORDER_EVENTS, USER_EVENTS};
use embedded::kafka::MockKafka;
use embedded::testing::{Link, Process, TestDatabase, fresh_database};
use envelope::{AMQP_PREFIX, Event, EventData, KAFKA_PREFIX};
use messaging::amqp::AmqpQueue;
use messaging::kafka::{KafkaConfig, KafkaPublisher};
use messaging::pg_queue::PgQueue;
use messaging::{Destination, Message, Publisher as _, Queue};
use notifications::{Config, Listeners};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::mails::Mail;

/// Longest wait for anything, in a test that is about to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// How long a dead worker's mail waits for another unless a test says otherwise. A live worker extends its leases when a third
/// of it is over: the rest is what a busy machine may be late by. Less than [`PATIENCE`], for what dies at a moment that no
/// test knows.
const LEASE: Duration = Duration::from_secs(10);

/// Where facts are parked that cannot be handled.
pub(crate) const DEAD_LETTERS: &str = "order-events.notifications.dlq";

/// What lives longer than the service: its engines and its mail.
pub(crate) struct World {
    database: TestDatabase,
    /// Which queue the service is told to use.
    queue_arguments: [String; 2],
    pub(crate) kafka: MockKafka,
    topics: KafkaPublisher,
    pub(crate) db: PgPool,
    pub(crate) queue_db: PgPool,
    queue: Arc<dyn Queue>,
    mail_dir: TempDir,
    /// How long a dead worker's mail waits for another.
    pub(crate) lease: Duration,
    /// Further arguments of the service.
    pub(crate) arguments: Vec<&'static str>,
}

/// A running service.
pub(crate) struct TestApp {
    pub(crate) world: World,
    pub(crate) admin: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: JoinHandle<Result<(), Fatal>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let queue_database = fresh_database();
        let queue_db = PgPool::connect(&queue_database.url).await.unwrap();
        let queue = Arc::new(PgQueue::new(queue_db.clone()));
        let arguments = ["--queue-database-url".to_owned(), queue_database.url];
        Self::with_queue(queue, queue_db, arguments).await
    }

    /// On a RabbitMQ broker; there is no queue in `queue_db` then.
    #[allow(dead_code, reason = "the containers target uses it")]
    pub(crate) async fn on_rabbitmq(url: &str) -> Self {
        let queue = Arc::new(AmqpQueue::new(url, "test").unwrap());
        let nowhere = PgPool::connect_lazy(&fresh_database().url).unwrap();
        Self::with_queue(queue, nowhere, ["--amqp-url".to_owned(), url.to_owned()]).await
    }

    async fn with_queue(
        queue: Arc<dyn Queue>,
        queue_db: PgPool,
        queue_arguments: [String; 2],
    ) -> Self {
        let database = fresh_database();
        let kafka =
            embedded::testing::kafka(&[(ORDER_EVENTS, 4), (USER_EVENTS, 4), (DEAD_LETTERS, 1)]);
        let topics =
            KafkaPublisher::new(&KafkaConfig::new(kafka.bootstrap_servers(), "test")).unwrap();
        let db = PgPool::connect(&database.url).await.unwrap();
        Self {
            database,
            queue_arguments,
            kafka,
            topics,
            db,
            queue_db,
            queue,
            mail_dir: TempDir::new().unwrap(),
            lease: LEASE,
            arguments: Vec::new(),
        }
    }

    /// Runs the service in it; without `smtp_url` mails are files.
    pub(crate) async fn run(self, smtp_url: Option<&str>) -> TestApp {
        let (admin, shutdown, running) = self.spawn(smtp_url).await;
        let app = TestApp {
            world: self,
            admin,
            shutdown,
            running,
        };
        app.until("ready", || async {
            crate::running::status(admin, "/readyz").await == 200
        })
        .await;
        app
    }

    async fn spawn(
        &self,
        smtp_url: Option<&str>,
    ) -> (SocketAddr, Shutdown, JoinHandle<Result<(), Fatal>>) {
        let config: Config = chassis::config::try_from_args(self.arguments(smtp_url)).unwrap();
        let listeners = Listeners::bind(&config).await.unwrap();
        let admin = listeners.admin.local_addr().unwrap();
        let shutdown = Shutdown::manual();
        let running = tokio::spawn(notifications::run(config, listeners, shutdown.clone()));
        (admin, shutdown, running)
    }

    /// The command line.
    fn arguments(&self, smtp_url: Option<&str>) -> Vec<String> {
        let lease = format!("{}ms", self.lease.as_millis());
        let mail_dir = self.mail_dir().display().to_string();
        let mail = smtp_url.map_or(["--mail-dir", &mail_dir], |url| ["--smtp-url", url]);
        let arguments = [
            "notifications",
            "--email-lease",
            &lease,
            "--database-url",
            &self.database.url,
            &self.queue_arguments[0],
            &self.queue_arguments[1],
            "--kafka-brokers",
            self.kafka.bootstrap_servers(),
            "--kafka-fetch-wait",
            "10ms",
            "--admin-port",
            "0",
        ];
        let all = arguments.iter().chain(&mail).chain(&self.arguments);
        all.map(|argument| (*argument).to_owned()).collect()
    }

    /// The executable in a process of its own, with links to its database and to that of its queue.
    #[allow(dead_code, reason = "the containers target does not use it")]
    pub(crate) async fn as_process(&mut self) -> (Process, Link, Link) {
        let (database, queue) = (&mut self.database.url, &mut self.queue_arguments[1]);
        let (to_database, url) = Link::to_database(database).await;
        *database = url;
        let (to_queue, url) = Link::to_database(queue).await;
        *queue = url;
        let arguments = self.arguments(None);
        let process = Process::start(env!("CARGO_BIN_EXE_notifications"), &arguments[1..]);
        process.until_ready().await;
        (process, to_database, to_queue)
    }

    /// Where mails are written to; it is not there yet.
    pub(crate) fn mail_dir(&self) -> PathBuf {
        self.mail_dir.path().join("mail")
    }
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        World::new().await.run(None).await
    }

    pub(crate) async fn with_mail_server(url: &str) -> Self {
        World::new().await.run(Some(url)).await
    }

    /// The same with further arguments.
    pub(crate) async fn with_arguments(url: &str, arguments: &[&'static str]) -> Self {
        let mut world = World::new().await;
        world.arguments = arguments.to_vec();
        world.run(Some(url)).await
    }

    /// Another one beside it, in the same world.
    pub(crate) async fn replica(&self) -> JoinHandle<Result<(), Fatal>> {
        let (admin, _, running) = self.world.spawn(None).await;
        self.until("a second one", || async {
            crate::running::status(admin, "/readyz").await == 200
        })
        .await;
        running
    }

    /// Asks it to stop and waits until it is about to: not ready (503), or its admin port is closed already.
    pub(crate) async fn begin_stop(&self) {
        self.shutdown.trigger();
        self.until("it to stop being ready", || async {
            crate::running::status(self.admin, "/readyz").await != 200
        })
        .await;
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) -> World {
        self.shutdown.trigger();
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("it stops")
            .unwrap()
            .unwrap();
        self.world
    }

    /// Ends it without a word.
    pub(crate) async fn crash(self) -> World {
        self.running.abort();
        assert!(self.running.await.is_err_and(|ended| ended.is_cancelled()));
        self.world
    }

    /// users says that somebody signed up, on the stream.
    pub(crate) async fn knows(&self, name: &str) -> Uuid {
        let user = created(name);
        let user_id = user.user_id;
        self.publish(USER_EVENTS, &Event::new(user)).await;
        user_id
    }

    /// users says that somebody signed up, to whoever has a queue.
    pub(crate) async fn announces(&self, event: &Event<UserCreated>) {
        self.enqueue(Destination::Exchange(USER_CREATED.into()), event)
            .await;
    }

    /// orders says that an order is confirmed.
    pub(crate) async fn confirms(&self, user_id: Uuid) -> Uuid {
        let event = confirmed(user_id);
        self.publish(ORDER_EVENTS, &event).await;
        event.data.order_id
    }

    pub(crate) async fn publish<T: EventData>(&self, topic: &str, event: &Event<T>) {
        let message = event.to_binary(KAFKA_PREFIX).unwrap();
        self.publish_raw(
            topic,
            Message {
                key: Some(event.subject.clone()),
                headers: message.headers,
                payload: message.body,
            },
        )
        .await;
    }

    pub(crate) async fn publish_raw(&self, topic: &str, message: Message) {
        self.world
            .topics
            .publish(&Destination::Topic(topic.into()), message)
            .await
            .unwrap();
    }

    /// A job, as if the outbox had sent it.
    pub(crate) async fn asks_for(&self, job: &Event<EmailJob>) {
        self.enqueue(Destination::Queue(EMAIL_JOBS.into()), job)
            .await;
    }

    async fn enqueue<T: EventData>(&self, to: Destination, event: &Event<T>) {
        let message = event.to_binary(AMQP_PREFIX).unwrap();
        let message = Message {
            key: None,
            headers: message.headers,
            payload: message.body,
        };
        self.world.queue.publish(&to, message).await.unwrap();
    }

    pub(crate) async fn enqueue_raw(&self, queue: &str, message: Message) {
        let to = Destination::Queue(queue.into());
        self.world.queue.publish(&to, message).await.unwrap();
    }

    /// The mails that were written so far.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let Ok(entries) = std::fs::read_dir(self.world.mail_dir()) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        paths.sort();
        paths
            .iter()
            .map(|path| Mail::parse(&std::fs::read_to_string(path).unwrap()))
            .collect()
    }

    pub(crate) async fn until_mails(&self, count: usize) -> Vec<Mail> {
        self.until(&format!("{count} mails"), || async {
            self.mails().len() >= count
        })
        .await;
        self.mails()
    }

    /// Waits until every fact that was told and every job that follows from it is dealt with.
    pub(crate) async fn until_idle(&self) {
        self.until("all jobs to be done", || async {
            self.count("SELECT count(*) FROM outbox", &self.world.db)
                .await
                == 0
                && self.queued("%").await == 0
        })
        .await;
    }

    /// Messages in queues whose name is like this, dead letters aside.
    pub(crate) async fn queued(&self, like: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM mq_message WHERE queue LIKE $1 AND queue NOT LIKE '%.dead'",
        )
        .bind(like)
        .fetch_one(&self.world.queue_db)
        .await
        .unwrap()
    }

    pub(crate) async fn count(&self, sql: &'static str, pool: &PgPool) -> i64 {
        sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
    }

    /// Waits until it is so. Looks again every few milliseconds, because nothing announces it.
    pub(crate) async fn until<F, Fut>(&self, what: &str, mut so: F)
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = bool>,
    {
        let wait = async {
            while !so().await {
                assert!(
                    !self.running.is_finished(),
                    "the service has ended while waiting for {what}"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }
}

pub(crate) fn created(name: &str) -> UserCreated {
    UserCreated {
        user_id: Uuid::now_v7(),
        email: format!("{}@example.com", name.to_lowercase()),
        name: name.into(),
    }
}

pub(crate) fn confirmed(user_id: Uuid) -> Event<OrderConfirmed> {
    let order_id = Uuid::now_v7();
    let data = OrderConfirmed {
        order_id,
        user_id,
        total_amount: 4_999,
        currency: "EUR".into(),
    };
    Event::new(data).with_sequence(2).with_correlation(order_id)
}
