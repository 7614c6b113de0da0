//! `user.created`: on the stream and in the queue, the same event, and only of accounts that exist.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{events::UserCreated, queues, topics, users::v1::CreateUserRequest};
use embedded::kafka::MockKafka;
use envelope::{AMQP_PREFIX, Event, KAFKA_PREFIX, RawEvent};
use messaging::{
    ConsumeOptions, Delivery, Handler, HandlerError, Queue, Status,
    kafka::{ConsumerOptions, KafkaConfig, consume},
    pg_queue::PgQueue,
};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{self, ADMIN, App, PASSWORD, Setup};

/// What was delivered.
struct Inbox {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    _until_dropped: DropGuard,
}

struct Forward(mpsc::UnboundedSender<Delivery>);

#[async_trait]
impl Handler for Forward {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let _ = self.0.send(delivery.clone());
        Ok(())
    }
}

impl Inbox {
    fn new() -> (Self, Arc<Forward>, CancellationToken) {
        let (send, deliveries) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let inbox = Self {
            deliveries,
            _until_dropped: shutdown.clone().drop_guard(),
        };
        (inbox, Arc::new(Forward(send)), shutdown)
    }

    /// Reads the topic from its beginning.
    fn of_topic(kafka: &MockKafka) -> Self {
        let (inbox, handler, shutdown) = Self::new();
        let mut config = KafkaConfig::new(kafka.bootstrap_servers(), "test");
        config.fetch_wait = std::time::Duration::from_millis(10);
        tokio::spawn(async move {
            let options = ConsumerOptions::new("test", [topics::USER_EVENTS]);
            consume(&config, options, handler, Status::ignore(), shutdown).await
        });
        inbox
    }

    /// Takes from a queue that is bound to the exchange.
    async fn of_exchange(url: &str) -> Self {
        Self::of_queue(Arc::new(PgQueue::new(PgPool::connect(url).await.unwrap()))).await
    }

    async fn of_queue(queue: Arc<dyn Queue>) -> Self {
        let (inbox, handler, shutdown) = Self::new();
        queue.install().await.unwrap();
        queue.declare(queues::USER_CREATED_WELCOME).await.unwrap();
        queue
            .bind(queues::USER_CREATED, queues::USER_CREATED_WELCOME)
            .await
            .unwrap();
        tokio::spawn(async move {
            let options = ConsumeOptions {
                poll: std::time::Duration::from_millis(10),
                ..ConsumeOptions::default()
            };
            queue
                .consume(
                    queues::USER_CREATED_WELCOME,
                    options,
                    handler,
                    Status::ignore(),
                    shutdown,
                )
                .await
        });
        inbox
    }

    async fn next(&mut self, prefix: &str) -> (Delivery, Event<UserCreated>) {
        let next = self.deliveries.recv();
        let delivery = tokio::time::timeout(std::time::Duration::from_secs(60), next)
            .await
            .expect("an event within a minute")
            .unwrap();
        let headers = delivery
            .message
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let raw = RawEvent::from_binary(prefix, headers, &delivery.message.payload).unwrap();
        let event = raw.decode().unwrap();
        (delivery, event)
    }
}

async fn start(kafka: &MockKafka) -> (App, Inbox) {
    let setup = Setup::new();
    let queue = Inbox::of_exchange(&setup.database.url).await;
    let brokers = format!("--kafka-brokers={}", kafka.bootstrap_servers());
    (setup.with([brokers]).start().await, queue)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_is_told_to_the_stream_and_to_the_queue() {
    let setup = Setup::new();
    let queue = Arc::new(PgQueue::new(
        PgPool::connect(&setup.database.url).await.unwrap(),
    ));
    a_new_account_is_told(setup, queue).await;
}

/// The service is told by its setup which queue it has; `queue` is the same.
pub(crate) async fn a_new_account_is_told(setup: Setup, queue: Arc<dyn Queue>) {
    let kafka = embedded::testing::kafka(&[(topics::USER_EVENTS, 4)]);
    let mut queue = Inbox::of_queue(queue).await;
    let brokers = format!("--kafka-brokers={}", kafka.bootstrap_servers());
    let app = setup.with([brokers]).start().await;
    let ada = app.sign_up("ada@example.com").await.unwrap();
    app.sign_up("ADA@example.com").await.unwrap_err();
    let eve = app.sign_up("eve@example.com").await.unwrap();

    let mut topic = Inbox::of_topic(&kafka);
    let mut on_topic = Vec::new();
    for _ in 0..3 {
        let (delivery, event) = topic.next(KAFKA_PREFIX).await;
        assert_eq!(
            delivery.message.key.as_deref(),
            Some(event.subject.as_str())
        );
        assert_eq!((event.sequence, event.causation_id), (Some(1), None));
        assert_eq!(event.subject, event.data.user_id.to_string());
        on_topic.push((event.id, event.data.email));
    }
    on_topic.sort();
    let emails: Vec<_> = on_topic.iter().map(|(_, email)| email.as_str()).collect();
    assert_eq!(emails, [ADMIN, "ada@example.com", "eve@example.com"]);

    // The queue has copies of the same events, and none of the operator's account.
    let mut in_queue = Vec::new();
    for _ in 0..2 {
        let (_, event) = queue.next(AMQP_PREFIX).await;
        let user = if event.data.email == ada.email {
            &ada
        } else {
            &eve
        };
        assert_eq!(
            (event.data.user_id.to_string(), &event.data.name),
            (user.id.clone(), &user.name)
        );
        in_queue.push((event.id, event.data.email));
    }
    in_queue.sort();
    assert_eq!(in_queue, on_topic[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_gets_the_event_later() {
    // Nobody listens where this service looks for Kafka.
    let setup = Setup::new();
    let database = setup.database.clone();
    let mut queue = Inbox::of_exchange(&database.url).await;
    let app = setup.start().await;
    app.customer("ada@example.com").await;
    // One way out does not hold up the other.
    let (_, in_queue) = queue.next(AMQP_PREFIX).await;
    assert_eq!(in_queue.data.email, "ada@example.com");
    app.stop().await.unwrap();

    let kafka = embedded::testing::kafka(&[(topics::USER_EVENTS, 4)]);
    let brokers = format!("--kafka-brokers={}", kafka.bootstrap_servers());
    let _app = Setup::on(database).with([brokers]).start().await;
    let mut topic = Inbox::of_topic(&kafka);
    loop {
        let (_, event) = topic.next(KAFKA_PREFIX).await;
        if event.data.email == "ada@example.com" {
            assert_eq!(event.id, in_queue.id);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_request_goes_along() {
    app::telemetry();
    let kafka = embedded::testing::kafka(&[(topics::USER_EVENTS, 4)]);
    let (app, mut queue) = start(&kafka).await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = tonic::Request::new(CreateUserRequest {
        email: "ada@example.com".to_owned(),
        name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
    });
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    app.client.clone().create_user(request).await.unwrap();

    let (delivery, event) = queue.next(AMQP_PREFIX).await;
    for traceparent in [
        event.trace.traceparent.as_deref(),
        delivery.message.header("traceparent"),
    ] {
        assert!(
            traceparent.is_some_and(|value| value.contains(trace_id)),
            "{traceparent:?}"
        );
    }
}
