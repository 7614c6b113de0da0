//! A poison message as a switch: on sends one more, off removes those that were sent.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chassis::admin::{About, Switch, SwitchState};
use contracts::events::{OrderLine, OrderPlaced};
use contracts::topics::ORDER_EVENTS;
use envelope::{Event, KAFKA_PREFIX, TraceContext};
use messaging::args::KafkaArgs;
use messaging::kafka::{KafkaConfig, KafkaPublisher};
use messaging::{Destination, Message, Publisher as _};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::dlq;

/// The client's name at the brokers.
const NAME: &str = "agora-poison";
/// How long a sent message is looked for among the dead letters, before it counts as settled by somebody else.
const PARKED_MAX: Duration = Duration::from_secs(5);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Sends a well-formed event that violates a rule: an order without pieces. products can never handle it, so it parks it. It
/// stays parked until this switch or somebody else removes it.
///
/// Messages of other processes, and of this one before a restart, are not known here; use `agora dlq` for those.
pub(crate) struct PoisonSwitch {
    brokers: KafkaConfig,
    /// The URL of the database that may have the dead letters.
    queue: String,
    /// The events that are still parked.
    lying: Mutex<BTreeSet<Uuid>>,
    /// The number of events sent since none was parked.
    sent: AtomicU64,
}

impl PoisonSwitch {
    /// Sends to the brokers as a service does that is told this; `queue` is the database that holds the dead letters if the
    /// brokers are in memory.
    pub(crate) fn new(kafka: &KafkaArgs, queue: &str) -> Self {
        Self {
            brokers: kafka.config(NAME),
            queue: queue.to_owned(),
            lying: Mutex::default(),
            sent: AtomicU64::new(0),
        }
    }

    async fn send(&self) -> Result<(), String> {
        // Created for each message, so that an unused switch costs no producer.
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
                // The others were settled by somebody else.
                self.lying.lock().clear();
            } else if !self.lying.lock().is_empty() {
                // It is not parked yet.
                sleep(LOOK).await;
            }
        }
    }
}

/// An order without pieces, in a new trace; returned with the event's id.
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

    /// On while a message that it has sent is parked.
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Told {
        #[command(flatten)]
        kafka: KafkaArgs,
    }

    /// Else the password would go to them in the clear.
    #[test]
    fn brokers_are_reached_as_services_reach_them() {
        let account = ["--kafka-username=shop", "--kafka-password=hunter2"];
        let flags = ["told", "--kafka-brokers=kafka:9093"].into_iter();
        let mut kafka = Told::try_parse_from(flags.chain(account))
            .expect("flags")
            .kafka;
        // The flag takes it in a build with TLS only.
        kafka.kafka_ca = Some("/ca.crt".into());
        let brokers = PoisonSwitch::new(&kafka, "postgres://127.0.0.1:1/x").brokers;
        assert_eq!(brokers.brokers, "kafka:9093");
        assert!(format!("{:?}", brokers.account).contains("shop"));
        assert_eq!(brokers.authority.as_deref(), Some(Path::new("/ca.crt")));
    }
}
