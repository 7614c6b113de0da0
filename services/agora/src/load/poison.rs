//! A poison message as a switch: on, one more is sent; off, what was sent is taken away again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chassis::admin::{About, Switch, SwitchState};
use contracts::events::{OrderLine, OrderPlaced};
use contracts::topics::ORDER_EVENTS;
use envelope::{Event, KAFKA_PREFIX, TraceContext};
use messaging::kafka::{Account, KafkaConfig, KafkaPublisher};
use messaging::{Destination, Message, Publisher as _};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::dlq;

/// How it introduces itself to the brokers.
const NAME: &str = "agora-poison";
/// How long a message that was sent is looked for among the dead letters, before somebody else counts as having settled it.
const PARKED_MAX: Duration = Duration::from_secs(5);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Sends an event that reads well and cannot be true: an order of nothing. Products cannot handle it however often it tries, so it
/// parks it. There it lies until it is taken away, by this switch or by somebody else.
///
/// What another process has sent, or this one before it was started again, is not known here: `agora dlq` is for that.
pub(crate) struct PoisonSwitch {
    brokers: KafkaConfig,
    /// The URL of the database that may have the dead letters.
    queue: String,
    /// The events that lie somewhere.
    lying: Mutex<BTreeSet<Uuid>>,
    /// Those that were sent since nothing lay anywhere.
    sent: AtomicU64,
}

impl PoisonSwitch {
    /// Onto the topics of these brokers, with the account if they ask for one; `queue` is the database that has the dead
    /// letters where the brokers forget.
    pub(crate) fn new(brokers: &str, account: Option<(&str, &str)>, queue: &str) -> Self {
        Self {
            brokers: KafkaConfig::new(brokers, NAME)
                .with_account(account.map(|(name, password)| Account::new(name, password))),
            queue: queue.to_owned(),
            lying: Mutex::default(),
            sent: AtomicU64::new(0),
        }
    }

    async fn send(&self) -> Result<(), String> {
        // Made for one message: nobody pays for a producer that is never used.
        let publisher = KafkaPublisher::new(&self.brokers).map_err(|error| error.to_string())?;
        let (id, message) = poison().map_err(|error| error.to_string())?;
        if self.lying.lock().is_empty() {
            self.sent.store(0, Ordering::Relaxed);
        }
        let topic = Destination::Topic(ORDER_EVENTS.to_owned());
        let published = publisher.publish(&topic, message).await;
        published.map_err(|error| error.to_string())?;
        self.lying.lock().insert(id);
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn take_away(&self) -> Result<(), String> {
        let end = Instant::now() + PARKED_MAX;
        loop {
            let lying: Vec<_> = self.lying.lock().iter().copied().collect();
            if lying.is_empty() {
                return Ok(());
            }
            let away = dlq::take_away(&self.queue, &self.brokers, ORDER_EVENTS, lying).await;
            let away = away.map_err(|failure| failure.to_string())?;
            self.lying.lock().retain(|id| !away.contains(id));
            if Instant::now() >= end {
                // Somebody else has settled the others.
                self.lying.lock().clear();
            } else if !self.lying.lock().is_empty() {
                // It is on its way to the dead letters.
                sleep(LOOK).await;
            }
        }
    }
}

/// An order of no piece of anything, in a trace of its own, with the event's id.
fn poison() -> Result<(Uuid, Message), envelope::EnvelopeError> {
    let (trace, span) = (Uuid::new_v4().simple(), rand::random::<u64>() | 1);
    let trace = TraceContext {
        traceparent: Some(format!("00-{trace}-{span:016x}-01")),
        tracestate: None,
    };
    let order = OrderPlaced {
        order_id: Uuid::now_v7(),
        user_id: Uuid::now_v7(),
        items: vec![OrderLine {
            product_id: Uuid::now_v7(),
            quantity: 0,
            unit_price: 100,
        }],
        total_amount: 0,
        currency: "EUR".to_owned(),
    };
    let (key, traceparent) = (order.order_id.to_string(), trace.traceparent.clone());
    let event = Event::new(order).with_sequence(1).with_trace(trace);
    let id = event.id;
    let whole = event.to_binary(KAFKA_PREFIX)?;
    let mut headers = whole.headers;
    headers.extend(traceparent.map(|parent| ("traceparent".to_owned(), parent)));
    let message = Message {
        key: Some(key),
        headers,
        payload: whole.body,
    };
    Ok((id, message))
}

#[async_trait]
impl Switch for PoisonSwitch {
    fn about(&self) -> About {
        About {
            name: "poison",
            kind: "message",
            title: "A message on order-events that products cannot handle".to_owned(),
            usual: false,
            absent: None,
        }
    }

    /// On while something lies there that it has sent.
    async fn state(&self) -> SwitchState {
        SwitchState {
            on: !self.lying.lock().is_empty(),
            hit: self.sent.load(Ordering::Relaxed),
        }
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        match on {
            true => self.send().await,
            false => self.take_away().await,
        }
    }
}
