//! A poison message as a switch: a button that sends one.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chassis::admin::{About, Switch, SwitchState};
use contracts::events::{OrderLine, OrderPlaced};
use contracts::topics::ORDER_EVENTS;
use envelope::{Event, KAFKA_PREFIX, TraceContext};
use messaging::kafka::{KafkaConfig, KafkaPublisher};
use messaging::{Destination, Message, Publisher as _};
use uuid::Uuid;

/// How it introduces itself to the brokers.
const NAME: &str = "agora-poison";

/// Sends an event that reads well and cannot be true: an order of nothing. Products cannot handle it however often it tries, so it
/// parks it.
pub(crate) struct PoisonSwitch {
    brokers: KafkaConfig,
    sent: AtomicU64,
}

impl PoisonSwitch {
    /// Onto the topics of these brokers, with the account if they ask for one.
    pub(crate) fn new(brokers: &str, account: Option<(&str, &str)>) -> Self {
        Self {
            brokers: KafkaConfig::new(brokers, NAME).with_account(account),
            sent: AtomicU64::new(0),
        }
    }

    async fn send(&self) -> Result<(), String> {
        // Made for one message: nobody pays for a producer that is never used.
        let publisher = KafkaPublisher::new(&self.brokers).map_err(|error| error.to_string())?;
        let message = poison().map_err(|error| error.to_string())?;
        let topic = Destination::Topic(ORDER_EVENTS.to_owned());
        let published = publisher.publish(&topic, message).await;
        published.map_err(|error| error.to_string())?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// An order of no piece of anything, in a trace of its own.
fn poison() -> Result<Message, envelope::EnvelopeError> {
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
    let whole = event.to_binary(KAFKA_PREFIX)?;
    let mut headers = whole.headers;
    headers.extend(traceparent.map(|parent| ("traceparent".to_owned(), parent)));
    Ok(Message {
        key: Some(key),
        headers,
        payload: whole.body,
    })
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

    /// A button: it is never on.
    async fn state(&self) -> SwitchState {
        SwitchState {
            on: false,
            hit: self.sent.load(Ordering::Relaxed),
        }
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        match on {
            true => self.send().await,
            false => Ok(()),
        }
    }
}
