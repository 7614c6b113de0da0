//! Publish and subscribe inside a process: for what may be lost with it, and for tests.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backoff::Backoff;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Outcome, attempt};
use crate::{Delivery, Destination, Handler, Message, PublishError, Publisher};

/// Messages that wait for one subscriber; a publisher waits when they are more.
pub const SUBSCRIBER_BUFFER: usize = 1024;
/// Tries of one message, before it is dropped for this subscriber and counted.
pub const MAX_ATTEMPTS: u32 = 5;
/// The longest delay between two of them.
pub const BACKOFF_CAP: Duration = Duration::from_millis(100);

type Subscribers = HashMap<Destination, Vec<mpsc::Sender<Message>>>;

/// An in-process bus; clones share it. Each subscriber gets each message, in the order in which one
/// publisher sent them. Nothing is kept for those who come later, and nothing survives the process.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus {
    subscribers: Arc<Mutex<Subscribers>>,
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
            while let Some(Some(message)) = shutdown.run_until_cancelled(receiver.recv()).await {
                let delivery = Delivery {
                    message,
                    source: source.clone(),
                    attempt: 1,
                    position: None,
                };
                finish(handler.as_ref(), delivery, &shutdown).await;
                tokio::task::coop::consume_budget().await;
            }
        }
    }
}

async fn finish(handler: &dyn Handler, mut delivery: Delivery, shutdown: &CancellationToken) {
    let mut backoff = Backoff::new(BACKOFF_CAP / 8, BACKOFF_CAP);
    let reason = loop {
        let reason = match attempt(handler, &delivery).await {
            Outcome::Done => return count(&delivery.source, "done"),
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
        delivery.attempt += 1;
    };
    tracing::error!(
        source = delivery.source,
        attempt = delivery.attempt,
        reason,
        "a message failed for good and is dropped"
    );
    count(&delivery.source, "dropped");
}

fn count(source: &str, outcome: &'static str) {
    metrics::counter!("messaging_handled_total", "source" => source.to_owned(), "outcome" => outcome)
        .increment(1);
}

#[async_trait]
impl Publisher for MemoryBus {
    /// Waits for room at each subscriber. Without subscribers the message is dropped, as on an
    /// exchange that nobody bound.
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
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
            let _left = subscriber.send(message.clone()).await;
        }
        Ok(())
    }
}
