//! The worker of one partition: one message after the other, each until it is done or parked; or, when a
//! handler wants that and several are there, many at once.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use backoff::Backoff;
use rdkafka::Message as _;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::dead_letters::DeadLetters;
use super::names::is_retry_topic;
use super::record::to_message;
use super::unread::Unread;
use super::{ConsumerOptions, SYSTEM};
use crate::attempt::{Outcome, attempt, attempt_batch};
use crate::observe::{Consumed, Place, Settled};
use crate::position::Position;
use crate::{Delivery, Handler, MAX_PANICS};

/// How often to look into the queue without being notified. librdkafka notifies only of the first message in an empty
/// queue; this finds what it misses.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What all workers of a consumer have in common.
pub(super) struct Shared {
    pub(super) options: Arc<ConsumerOptions>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) dead_letters: DeadLetters,
    pub(super) unread: Arc<Unread>,
}

/// See the module.
pub(super) struct Worker<C: ConsumerContext + 'static> {
    pub(super) shared: Arc<Shared>,
    pub(super) consumer: Arc<BaseConsumer<C>>,
    pub(super) queue: PartitionQueue<C>,
    pub(super) ready: Arc<Notify>,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) stop: CancellationToken,
}

/// The worker was told to stop before the message was done: its offset must not be stored.
struct Interrupted;

impl<C: ConsumerContext + 'static> Worker<C> {
    /// Runs until it is stopped.
    pub(super) async fn run(self) {
        let consumed = Consumed::new(Place {
            system: SYSTEM,
            destination: &self.topic,
            group: Some(&self.shared.options.group),
        });
        while !self.stop.is_cancelled() {
            let batch = self.take_all();
            if batch.is_empty() {
                tokio::select! {
                    () = self.ready.notified() => {}
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                }
                continue;
            }
            if self.finish_all(batch, &consumed).await.is_err() {
                return;
            }
            // Handlers that are always ready must leave room for the other tasks of the runtime.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// The messages that are there already, at most as many as the handler takes at once; never blocks.
    fn take_all(&self) -> Vec<Delivery> {
        let limit = self.shared.handler.batch_max().max(1);
        std::iter::from_fn(|| self.take()).take(limit).collect()
    }

    /// Handles all of them in one call or, if that fails, one after the other.
    async fn finish_all(
        &self,
        batch: Vec<Delivery>,
        consumed: &Consumed,
    ) -> Result<(), Interrupted> {
        if batch.len() > 1 {
            match attempt_batch(self.shared.handler.as_ref(), &batch, consumed).await {
                Outcome::Done => {
                    consumed.settled(Settled::Done, 1, batch.len());
                    self.store(batch.last().and_then(|delivery| delivery.position));
                    return Ok(());
                }
                Outcome::Transient(reason)
                | Outcome::Permanent(reason)
                | Outcome::Panicked(reason) => {
                    tracing::debug!(
                        topic = self.topic,
                        self.partition,
                        count = batch.len(),
                        reason,
                        "a batch failed; its messages are handled one by one"
                    );
                }
            }
        }
        let failed_in_batch = batch.len() > 1;
        for mut delivery in batch {
            delivery.failed_in_batch = failed_in_batch;
            if self.stop.is_cancelled() {
                return Err(Interrupted);
            }
            let position = delivery.position;
            self.finish(delivery, consumed).await?;
            self.store(position);
        }
        Ok(())
    }

    /// The next message if one is there; never blocks.
    fn take(&self) -> Option<Delivery> {
        match self.queue.poll(Duration::ZERO)? {
            Ok(message) => {
                self.shared.unread.lifted(&self.topic, Some(self.partition));
                Some(self.to_delivery(&message))
            }
            // librdkafka goes on by itself; what else matters is reported by the session.
            Err(error) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) {
                    self.shared
                        .unread
                        .refused(&self.topic, Some(self.partition));
                }
                tracing::debug!(%error, topic = self.topic, self.partition, "an error of a partition");
                None
            }
        }
    }

    /// What was sent again comes from the topic that it was parked from, to whoever handles it.
    fn to_delivery(&self, message: &BorrowedMessage<'_>) -> Delivery {
        let options = &self.shared.options;
        let mut topics = options.topics.iter();
        let original = topics.find(|topic| is_retry_topic(&self.topic, topic, &options.group));
        // The publisher's clock, or the broker's, as the topic is configured.
        let sent_at = message.timestamp().to_millis();
        let sent_at =
            sent_at.and_then(|ms| Some(UNIX_EPOCH + Duration::from_millis(ms.try_into().ok()?)));
        let source = original.unwrap_or(&self.topic).as_str();
        let mut delivery = Delivery::new(to_message(message), source, 1)
            .with_sent_at(sent_at)
            .with_system(SYSTEM);
        delivery.position = Some(Position {
            partition: message.partition(),
            offset: message.offset(),
        });
        delivery
    }

    /// Stores the offset: everything up to this position is done.
    fn store(&self, position: Option<Position>) {
        let Some(Position { offset, .. }) = position else {
            return;
        };
        // Refused if the partition was taken away in the meantime (the session timed out): its
        // next owner gets the message again.
        if let Err(error) = self
            .consumer
            .store_offset(&self.topic, self.partition, offset)
        {
            tracing::warn!(%error, topic = self.topic, self.partition, offset, "an offset was not stored; the message is delivered again");
        }
    }

    /// Tries until the message is handled or parked.
    async fn finish(&self, mut delivery: Delivery, consumed: &Consumed) -> Result<(), Interrupted> {
        let options = &self.shared.options;
        let mut backoff = Backoff::new(options.backoff, options.backoff_cap);
        let mut panics = 0;
        loop {
            let reason = match attempt(self.shared.handler.as_ref(), &delivery, consumed).await {
                Outcome::Done => {
                    consumed.settled(Settled::Done, delivery.attempt, 1);
                    return Ok(());
                }
                Outcome::Permanent(reason) => return self.park(&delivery, &reason, consumed).await,
                Outcome::Transient(reason) => reason,
                Outcome::Panicked(reason) => {
                    panics += 1;
                    if panics >= MAX_PANICS {
                        return self.park(&delivery, &reason, consumed).await;
                    }
                    reason
                }
            };
            consumed.settled(Settled::Retried, delivery.attempt, 1);
            self.say_now_and_then(&delivery, &reason);
            self.pause(&mut backoff).await?;
            delivery.attempt = delivery.attempt.saturating_add(1);
        }
    }

    /// Publishes the message to the dead-letter topic; the partition goes on only when that has succeeded.
    async fn park(
        &self,
        delivery: &Delivery,
        reason: &str,
        consumed: &Consumed,
    ) -> Result<(), Interrupted> {
        let options = &self.shared.options;
        let mut backoff = Backoff::new(options.backoff, options.backoff_cap);
        tracing::error!(dead_letter = true, topic = self.topic, position = %at(delivery), reason, "a message is moved to the dead-letter topic");
        while self
            .shared
            .dead_letters
            .park(delivery, reason)
            .await
            .is_err()
        {
            self.pause(&mut backoff).await?;
        }
        consumed.settled(Settled::Parked, delivery.attempt, 1);
        Ok(())
    }

    async fn pause(&self, backoff: &mut Backoff) -> Result<(), Interrupted> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Interrupted),
            () = tokio::time::sleep(backoff.next()) => Ok(()),
        }
    }

    /// Logs attempts 1, 2, 4, 8 and so on: retries without end must not fill the log. No warning: as a rule the handler
    /// waits for an engine that is away, which is reported where it is watched.
    fn say_now_and_then(&self, delivery: &Delivery, reason: &str) {
        if delivery.attempt.is_power_of_two() {
            tracing::info!(
                topic = self.topic, position = %at(delivery), attempt = delivery.attempt, reason,
                "a message failed and is tried again in place"
            );
        }
    }
}

impl<C: ConsumerContext + 'static> Drop for Worker<C> {
    /// Whoever reads the partition next is refused anew, if it is.
    fn drop(&mut self) {
        self.shared.unread.lifted(&self.topic, Some(self.partition));
    }
}

/// Where it is, for a line of the log.
fn at(delivery: &Delivery) -> String {
    let position = delivery.position.map(|position| position.to_string());
    position.unwrap_or_default()
}
