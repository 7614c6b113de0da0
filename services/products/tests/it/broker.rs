//! Kafka as the neighbours of products use it: orders writes events, and somebody reads the answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::events::{
    OrderCancelled, OrderLine, OrderPlaced, StockRejected, StockReleased, StockReserved,
};
use contracts::topics::{ORDER_EVENTS, STOCK_EVENTS};
use embedded::kafka::MockKafka;
use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent};
use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher, consume};
use messaging::{Delivery, Destination, Handler, HandlerError, Message, Publisher as _, Status};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Where messages are parked that products cannot handle.
pub(crate) const DEAD_LETTERS: &str = "order-events.products.dlq";

/// Longest wait for anything, in a test that is about to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A Kafka of its own, and everything that was said on it so far.
pub(crate) struct Broker {
    cluster: MockKafka,
    publisher: KafkaPublisher,
    heard: Arc<Heard>,
    _listening: DropGuard,
}

/// All messages on the topics that products writes to, oldest first for each key.
#[derive(Default)]
struct Heard {
    deliveries: Mutex<Vec<Delivery>>,
    more: Notify,
}

#[async_trait]
impl Handler for Heard {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.deliveries.lock().push(delivery.clone());
        self.more.notify_waiters();
        Ok(())
    }
}

/// What products answered to an order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) what: What,
    pub(crate) event: Event<()>,
    pub(crate) key: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Reserved,
    Rejected(String),
    Released,
}

impl Broker {
    /// `partitions` of `order-events`: with one, orders are handled one after the other.
    pub(crate) async fn start(partitions: i32) -> Self {
        let topics = [
            (ORDER_EVENTS, partitions),
            (STOCK_EVENTS, partitions),
            (DEAD_LETTERS, 1),
        ];
        let cluster = embedded::testing::kafka(&topics);
        let config = Self::client(&cluster, "test");
        let publisher = KafkaPublisher::new(&config).unwrap();
        let heard = Arc::new(Heard::default());
        let stop = CancellationToken::new();
        let options = ConsumerOptions::new("test", [STOCK_EVENTS, DEAD_LETTERS]);
        let (handler, token) = (heard.clone(), stop.clone());
        tokio::spawn(
            async move { consume(&config, options, handler, Status::ignore(), token).await },
        );
        Self {
            cluster,
            publisher,
            heard,
            _listening: stop.drop_guard(),
        }
    }

    /// It does not answer any more.
    pub(crate) fn down(&self) {
        self.cluster.down();
    }

    /// It answers again.
    pub(crate) fn up(&self) {
        self.cluster.up();
    }

    pub(crate) fn address(&self) -> String {
        self.cluster.bootstrap_servers().to_owned()
    }

    fn client(cluster: &MockKafka, id: &str) -> KafkaConfig {
        let mut config = KafkaConfig::new(cluster.bootstrap_servers(), id);
        config.fetch_wait = Duration::from_millis(10);
        config
    }

    /// Publishes what orders would.
    pub(crate) async fn publish<T: EventData>(&self, event: &Event<T>) {
        let message = event.to_binary(KAFKA_PREFIX).unwrap();
        let message = Message {
            key: Some(event.subject.clone()),
            headers: message.headers,
            payload: message.body,
        };
        self.publish_raw(message).await;
    }

    pub(crate) async fn publish_raw(&self, message: Message) {
        let to = Destination::Topic(ORDER_EVENTS.to_owned());
        self.publisher.publish(&to, message).await.unwrap();
    }

    /// A new order is placed.
    pub(crate) async fn place(&self, lines: &[(Uuid, u32)]) -> Uuid {
        let order_id = Uuid::now_v7();
        self.publish(&placed(order_id, lines)).await;
        order_id
    }

    /// The last answer to an order, and how many there were before, once there are `count`.
    pub(crate) async fn answers(&self, order_id: Uuid, count: usize) -> Vec<Answer> {
        let key = order_id.to_string();
        let deliveries = self
            .wait(
                |d| d.source == STOCK_EVENTS && d.message.key.as_deref() == Some(&key),
                count,
            )
            .await;
        deliveries.iter().map(answer).collect()
    }

    /// All answers to an order, once one of them says `what`. A crash may have repeated others before it.
    pub(crate) async fn answers_until(&self, order_id: Uuid, what: What) -> Vec<Answer> {
        let key = order_id.to_string();
        self.wait(
            |d| {
                d.source == STOCK_EVENTS
                    && d.message.key.as_deref() == Some(&key)
                    && answer(d).what == what
            },
            1,
        )
        .await;
        self.answers(order_id, 1).await
    }

    /// The first answer to an order.
    pub(crate) async fn answer(&self, order_id: Uuid) -> What {
        self.answers(order_id, 1).await.remove(0).what
    }

    /// What was parked, once there are `count`.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<Delivery> {
        self.wait(|d| d.source == DEAD_LETTERS, count).await
    }

    async fn wait(&self, wanted: impl Fn(&Delivery) -> bool, count: usize) -> Vec<Delivery> {
        let enough = async {
            loop {
                let more = self.heard.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                let found: Vec<_> = self
                    .heard
                    .deliveries
                    .lock()
                    .iter()
                    .filter(|d| wanted(d))
                    .cloned()
                    .collect();
                if found.len() >= count {
                    return found;
                }
                more.await;
            }
        };
        match tokio::time::timeout(PATIENCE, enough).await {
            Ok(found) => found,
            Err(_) => panic!(
                "still not {count}; heard {:#?}",
                self.heard.deliveries.lock()
            ),
        }
    }
}

/// The event of an order that is placed; the same order each time, another event each time.
pub(crate) fn placed(order_id: Uuid, lines: &[(Uuid, u32)]) -> Event<OrderPlaced> {
    let line = |&(product_id, quantity)| OrderLine {
        product_id,
        quantity,
        unit_price: 100,
    };
    let data = OrderPlaced {
        order_id,
        user_id: Uuid::now_v7(),
        items: lines.iter().map(line).collect(),
        total_amount: lines
            .iter()
            .map(|(_, quantity)| 100 * i64::from(*quantity))
            .sum(),
        currency: "EUR".to_owned(),
    };
    Event::new(data).with_correlation(order_id)
}

/// The event of an order that is cancelled.
pub(crate) fn cancelled(order_id: Uuid) -> Event<OrderCancelled> {
    let data = OrderCancelled {
        order_id,
        user_id: Uuid::now_v7(),
    };
    Event::new(data).with_correlation(order_id)
}

fn answer(delivery: &Delivery) -> Answer {
    let headers = delivery
        .message
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let raw = RawEvent::from_binary(KAFKA_PREFIX, headers, &delivery.message.payload).unwrap();
    let what = match raw.event_type.as_str() {
        StockReserved::TYPE => What::Reserved,
        StockReleased::TYPE => What::Released,
        _ => What::Rejected(raw.decode::<StockRejected>().unwrap().data.reason),
    };
    let event = Event {
        id: raw.id,
        source: raw.source,
        event_type: raw.event_type,
        subject: raw.subject,
        time: raw.time,
        correlation_id: raw.correlation_id,
        causation_id: raw.causation_id,
        logical_id: raw.logical_id,
        sequence: raw.sequence,
        twins: raw.twins,
        trace: raw.trace,
        extensions: raw.extensions,
        data: (),
    };
    Answer {
        what,
        event,
        key: delivery.message.key.clone().unwrap(),
    }
}
