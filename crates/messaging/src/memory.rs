//! Publish and subscribe inside a process: for what may be lost with it, and for tests.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use backoff::Backoff;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Outcome, attempt};
use crate::observe::{Consumed, Place, Sent, Settled};
use crate::{Delivery, Destination, Handler, Message, PublishError, Publisher};

/// Messages that wait for one subscriber; a publisher waits when they are more.
pub const SUBSCRIBER_BUFFER: usize = 1024;
/// Tries of one message, before it is dropped for this subscriber and counted.
pub const MAX_ATTEMPTS: u32 = 5;
/// The longest delay between two of them.
pub const BACKOFF_CAP: Duration = Duration::from_millis(100);

/// What metrics call this engine.
const SYSTEM: &str = "memory";

/// A message, and when it was published.
type Stamped = (Message, SystemTime);
type Subscribers = HashMap<Destination, Vec<mpsc::Sender<Stamped>>>;

/// An in-process bus; clones share it. Each subscriber gets each message, in the order in which one
/// publisher sent them. Nothing is kept for those who come later, and nothing survives the process.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    subscribers: Arc<Mutex<Subscribers>>,
    sent: Arc<Sent>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self {
            subscribers: Arc::default(),
            sent: Arc::new(Sent::new(SYSTEM)),
        }
    }
}

impl MemoryBus {
    /// An empty bus.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes at once, not only when the future is first polled. The future handles what is
    /// published to `to`, until `shutdown` and the end of the message in hand.
    ///
    /// A failed or panicked try is made again after a short delay, a permanent failure is not; after
    /// [`MAX_ATTEMPTS`] the message is dropped and counted. No failure ends the subscription.
    pub fn subscribe(
        &self,
        to: &Destination,
        handler: Arc<dyn Handler>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (sender, mut receiver) = mpsc::channel(SUBSCRIBER_BUFFER);
        let mut subscribers = self.subscribers.lock();
        subscribers.entry(to.clone()).or_default().push(sender);
        let source = to.name().to_owned();
        async move {
            let place = Place {
                system: SYSTEM,
                destination: &source,
                group: None,
            };
            let (consumed, lag) = (Consumed::new(place), place.lag());
            while let Some(Some(message)) = shutdown.run_until_cancelled(receiver.recv()).await {
                lag.set(receiver.len() as f64);
                let (message, sent_at) = message;
                let delivery = Delivery::new(message, source.clone(), 1)
                    .with_sent_at(Some(sent_at))
                    .with_system(SYSTEM);
                finish(handler.as_ref(), delivery, &consumed, &shutdown).await;
                tokio::task::coop::consume_budget().await;
            }
        }
    }
}

async fn finish(
    handler: &dyn Handler,
    mut delivery: Delivery,
    consumed: &Consumed,
    shutdown: &CancellationToken,
) {
    let mut backoff = Backoff::new(BACKOFF_CAP / 8, BACKOFF_CAP);
    let reason = loop {
        let reason = match attempt(handler, &delivery, consumed).await {
            Outcome::Done => return consumed.settled(Settled::Done, delivery.attempt, 1),
            Outcome::Permanent(reason) => break reason,
            Outcome::Transient(reason) | Outcome::Panicked(reason) => reason,
        };
        if delivery.attempt >= MAX_ATTEMPTS {
            break reason;
        }
        if shutdown
            .run_until_cancelled(tokio::time::sleep(backoff.next()))
            .await
            .is_none()
        {
            break reason;
        }
        consumed.settled(Settled::Retried, delivery.attempt, 1);
        delivery.attempt += 1;
    };
    tracing::error!(
        source = delivery.source,
        attempt = delivery.attempt,
        reason,
        "a message failed for good and is dropped"
    );
    consumed.settled(Settled::Dropped, delivery.attempt, 1);
}

#[async_trait]
impl Publisher for MemoryBus {
    /// Waits for room at each subscriber. Without subscribers the message is dropped, as on an
    /// exchange that nobody bound.
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        let (begun, sent_at) = (Instant::now(), SystemTime::now());
        let subscribers = {
            let mut all = self.subscribers.lock();
            let Some(subscribers) = all.get_mut(to) else {
                return Ok(());
            };
            subscribers.retain(|subscriber| !subscriber.is_closed());
            subscribers.clone()
        };
        for subscriber in subscribers {
            // One that left in the meantime does not want it.
            let _left = subscriber.send((message.clone(), sent_at)).await;
        }
        self.sent.note(to.name(), None, begun.elapsed());
        Ok(())
    }

    fn system(&self, _to: &Destination) -> &'static str {
        SYSTEM
    }
}
