//! Messages that go back untried: those that nobody began, and those whose handlers were cut off by a stop.
//!
//! Not by `basic.nack`: before RabbitMQ 4.3 that counts as an attempt (`x-delivery-count`), and a channel that closes does in
//! all versions. A message that nobody ever failed would be parked after as many deploys as it may have attempts. So a copy
//! goes back that has the attempts from before, and is confirmed before the original is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use lapin::Acker;
use lapin::message::Delivery as Delivered;
use lapin::options::BasicAckOptions;

use super::session::Session;
use super::wire::{self, Received};

/// How long all of them may take. What is not back by then is given back by the broker when the channel closes, and that is
/// an attempt.
const DEADLINE: Duration = Duration::from_secs(1);

/// A message that was delivered and is not settled.
pub(super) struct InHand {
    pub(super) session: Arc<Session>,
    pub(super) acker: Acker,
    pub(super) received: Received,
}

impl InHand {
    pub(super) fn new(session: &Arc<Session>, delivered: Delivered) -> Self {
        Self {
            session: Arc::clone(session),
            acker: delivered.acker,
            received: wire::received(&delivered.properties, delivered.data),
        }
    }

    async fn give_back(&self, queue: &str) {
        if !self.session.is_open() {
            return;
        }
        let (properties, body) = (
            wire::untried(&self.received),
            &self.received.message.payload,
        );
        if self.session.copy(queue, properties, body).await.is_ok() {
            // If this is lost, it comes twice, as after a crash.
            let _lost = self.acker.ack(BasicAckOptions::default()).await;
        }
    }
}

/// Puts them back into their queue, as long as there is a connection to do it.
pub(super) async fn all(queue: &str, messages: &[Arc<InHand>]) {
    let back = messages.iter().map(|message| message.give_back(queue));
    let back = futures::future::join_all(back);
    if tokio::time::timeout(DEADLINE, back).await.is_err() {
        tracing::debug!(
            queue,
            "messages were not given back in time; the broker does it"
        );
    }
}
