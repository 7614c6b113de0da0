//! What happens to one delivered message.

use std::sync::Arc;
use std::time::Duration;

use backoff::Backoff;
use lapin::options::BasicAckOptions;
use parking_lot::Mutex;

use super::SYSTEM;
use super::give_back::{self, InHand};
use super::session::Session;
use super::wire::{self, Received};
use crate::attempt::attempt;
use crate::dead_letter::{self, Origin};
use crate::observe::{Consumed, Place, Settled};
use crate::verdict::{self, Verdict};
use crate::{ConsumeOptions, Delivery, Handler, names};

/// The pauses between two tries to store a copy: the first, and the longest.
const SETTLE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What all messages of a consumer have in common.
pub(super) struct Worker {
    pub(super) queue: String,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    // Messages whose handlers run, to be given back if the consumer must stop before they are done.
    held: Mutex<Vec<Arc<InHand>>>,
    consumed: Consumed,
}

impl Worker {
    pub(super) fn new(queue: &str, options: ConsumeOptions, handler: Arc<dyn Handler>) -> Self {
        Self {
            queue: queue.to_owned(),
            options,
            handler,
            held: Mutex::default(),
            consumed: Consumed::new(Place {
                system: SYSTEM,
                destination: queue,
                group: None,
            }),
        }
    }

    /// Handles the message and settles what becomes of it.
    ///
    /// A handler is not cancelled when the connection is lost: the message is delivered again anyway, and an effect
    /// that is finished and recorded is recognised then; one that was cancelled in the middle is not.
    pub(super) async fn work(&self, message: InHand) {
        let message = Arc::new(message);
        self.held.lock().push(Arc::clone(&message));
        let verdict = self.try_once(&message.received).await;
        // From here on its verdict is being stored, and a copy beside that would be one too many.
        self.held.lock().retain(|held| !Arc::ptr_eq(held, &message));
        self.settle(&message, verdict).await;
    }

    /// Gives back the messages whose handlers were cancelled.
    pub(super) async fn give_back(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        give_back::all(&self.queue, &held).await;
    }

    async fn try_once(&self, received: &Received) -> Verdict {
        // An attempt has no verdict only if its consumer died or was cancelled. A message that kills its consumers
        // must not do so for ever.
        if received.attempt > self.options.max_attempts.max(1) && !names::is_dead(&self.queue) {
            let reason = format!(
                "{} attempts ended without a result: their consumers died or were cancelled",
                received.attempt - 1
            );
            return Verdict::Park { reason };
        }
        let message = received.message.clone();
        let delivery = Delivery::new(message, self.queue.clone(), received.attempt)
            .with_sent_at(received.sent_at)
            .with_system(SYSTEM);
        let outcome = attempt(self.handler.as_ref(), &delivery, &self.consumed).await;
        verdict::judge(outcome, received.attempt, &self.options)
    }

    /// Stores the retry or dead-letter copy if there is one, and acknowledges only then; tries until the session ends.
    async fn settle(&self, message: &InHand, verdict: Verdict) {
        let InHand {
            session,
            acker,
            received,
        } = message;
        let mut backoff = Backoff::new(SETTLE.0, SETTLE.1);
        while session.is_open() {
            match self.store_copy(session, received, &verdict).await {
                Ok(()) if acker.ack(BasicAckOptions::default()).await.is_ok() => {
                    return verdict::note(&self.consumed, &self.queue, received.attempt, &verdict);
                }
                Ok(()) => break,
                Err(reason) => {
                    tracing::debug!(
                        queue = self.queue,
                        reason,
                        "the copy of a message for retry or dead letters was not stored; trying again"
                    );
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
        self.consumed.settled(Settled::Lost, received.attempt, 1);
        tracing::info!(
            queue = self.queue,
            "the connection was lost before a message was acknowledged; it is delivered again"
        );
    }

    async fn store_copy(
        &self,
        session: &Session,
        received: &Received,
        verdict: &Verdict,
    ) -> Result<(), String> {
        let body = &received.message.payload;
        match verdict {
            Verdict::Acknowledge => Ok(()),
            Verdict::Retry { delay, .. } => {
                let longest = verdict::backoff(&self.options, received.attempt).ceiling();
                let properties = wire::properties(&received.message, received.attempt);
                self.delay(session, longest, *delay, properties, body).await
            }
            Verdict::Park { reason } => {
                let origin = Origin::Queue(&self.queue);
                let mut parked =
                    dead_letter::parked(&received.message, origin, reason, received.attempt);
                // Others may publish headers that leave no room for ours in their frame, and a frame that is too large
                // ends the connection.
                if wire::check(&received.message).is_err() {
                    parked = dead_letter::without_large_headers(parked);
                }
                let properties = wire::properties(&parked, 0);
                if names::is_dead(&self.queue) {
                    // A dead-letter queue that is consumed parks in itself; the delay keeps the message from coming
                    // back at once.
                    let cap = self.options.backoff_cap;
                    return self.delay(session, cap, cap, properties, body).await;
                }
                session
                    .copy(&names::dead(&self.queue), properties, body)
                    .await
            }
        }
    }

    /// Back into the queue after `delay`, by way of the retry queue for `longest`. Messages leave a retry
    /// queue in order: a shorter delay behind a longer one waits for it, and that is at most `longest`.
    async fn delay(
        &self,
        session: &Session,
        longest: Duration,
        delay: Duration,
        properties: lapin::BasicProperties,
        body: &[u8],
    ) -> Result<(), String> {
        let name = session.retry_queue(&self.queue, longest).await;
        let name = name.map_err(|error| error.to_string())?;
        let milliseconds = delay.as_millis().max(1).to_string();
        let properties = properties.with_expiration(milliseconds.into());
        session.copy(&name, properties, body).await
    }
}
