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
use tokio::time::MissedTickBehavior;
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

/// Messages that were taken and are not all done: at most as many as the handler wants at once. Kept from one batch to the next
/// for its memory.
#[derive(Default)]
struct InHand<'a> {
    deliveries: Vec<Delivery>,
    /// The same messages as librdkafka has them: each leads to its topic. By the topic's name, an offset could be stored as well,
    /// but for each one librdkafka would lock all of its client and search its topics for the name.
    records: Vec<BorrowedMessage<'a>>,
}

impl<C: ConsumerContext + 'static> Worker<C> {
    /// Runs until it is stopped.
    pub(super) async fn run(self) {
        let consumed = Consumed::new(Place {
            system: SYSTEM,
            destination: &self.topic,
            group: Some(&self.shared.options.group),
        });
        // One timer for all pauses: to set one and take it back locks the timers of the whole runtime, twice for each pause.
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut in_hand = InHand::default();
        while !self.stop.is_cancelled() {
            self.take_all(&mut in_hand);
            if in_hand.records.is_empty() {
                tokio::select! {
                    () = self.ready.notified() => {}
                    () = self.stop.cancelled() => {}
                    _ = looks.tick() => {}
                }
                continue;
            }
            if self.finish_all(&mut in_hand, &consumed).await.is_err() {
                return;
            }
            // Handlers that are always ready must leave room for the other tasks of the runtime.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Takes the messages that are there already, at most as many as the handler wants at once, in place of those that are
    /// done; never blocks.
    fn take_all<'a>(&'a self, in_hand: &mut InHand<'a>) {
        in_hand.deliveries.clear();
        in_hand.records.clear();
        let limit = self.shared.handler.batch_max().max(1);
        for record in std::iter::from_fn(|| self.take()).take(limit) {
            in_hand.deliveries.push(self.to_delivery(&record));
            in_hand.records.push(record);
        }
    }

    /// Handles all of them in one call or, if that fails, one after the other.
    async fn finish_all(
        &self,
        in_hand: &mut InHand<'_>,
        consumed: &Consumed,
    ) -> Result<(), Interrupted> {
        let InHand {
            deliveries,
            records,
        } = in_hand;
        let count = deliveries.len();
        if count > 1 {
            match attempt_batch(self.shared.handler.as_ref(), deliveries, consumed).await {
                Outcome::Done => {
                    consumed.settled(Settled::Done, 1, count);
                    // Everything before it is done, too.
                    if let Some(last) = records.last() {
                        self.store(last);
                    }
                    return Ok(());
                }
                Outcome::Transient(reason)
                | Outcome::Permanent(reason)
                | Outcome::Panicked(reason) => {
                    tracing::debug!(
                        topic = self.topic,
                        self.partition,
                        count,
                        reason,
                        "a batch failed; its messages are handled one by one"
                    );
                }
            }
        }
        for (delivery, record) in deliveries.iter_mut().zip(&*records) {
            delivery.failed_in_batch = count > 1;
            if self.stop.is_cancelled() {
                return Err(Interrupted);
            }
            self.finish(delivery, consumed).await?;
            self.store(record);
        }
        Ok(())
    }

    /// The next message if one is there; never blocks.
    fn take(&self) -> Option<BorrowedMessage<'_>> {
        match self.queue.poll(Duration::ZERO)? {
            Ok(record) => {
                self.shared.unread.lifted(&self.topic, Some(self.partition));
                Some(record)
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
    fn to_delivery(&self, record: &BorrowedMessage<'_>) -> Delivery {
        let options = &self.shared.options;
        let mut topics = options.topics.iter();
        let original = topics.find(|topic| is_retry_topic(&self.topic, topic, &options.group));
        // The publisher's clock, or the broker's, as the topic is configured.
        let sent_at = record.timestamp().to_millis();
        let sent_at =
            sent_at.and_then(|ms| Some(UNIX_EPOCH + Duration::from_millis(ms.try_into().ok()?)));
        let source = original.unwrap_or(&self.topic).as_str();
        let mut delivery = Delivery::new(to_message(record), source, 1)
            .with_sent_at(sent_at)
            .with_system(SYSTEM);
        delivery.position = Some(Position {
            partition: record.partition(),
            offset: record.offset(),
        });
        delivery
    }

    /// Stores the offset: everything up to this message is done.
    fn store(&self, record: &BorrowedMessage<'_>) {
        // Refused if the partition was taken away in the meantime (the session timed out): its
        // next owner gets the message again.
        if let Err(error) = self.consumer.store_offset_from_message(record) {
            let offset = record.offset();
            tracing::warn!(%error, topic = self.topic, self.partition, offset, "an offset was not stored; the message is delivered again");
        }
    }

    /// Tries until the message is handled or parked.
    async fn finish(
        &self,
        delivery: &mut Delivery,
        consumed: &Consumed,
    ) -> Result<(), Interrupted> {
        let options = &self.shared.options;
        let mut backoff = Backoff::new(options.backoff, options.backoff_cap);
        let mut panics = 0;
        loop {
            let reason = match attempt(self.shared.handler.as_ref(), delivery, consumed).await {
                Outcome::Done => {
                    consumed.settled(Settled::Done, delivery.attempt, 1);
                    return Ok(());
                }
                Outcome::Permanent(reason) => return self.park(delivery, &reason, consumed).await,
                Outcome::Transient(reason) => reason,
                Outcome::Panicked(reason) => {
                    panics += 1;
                    if panics >= MAX_PANICS {
                        return self.park(delivery, &reason, consumed).await;
                    }
                    reason
                }
            };
            consumed.settled(Settled::Retried, delivery.attempt, 1);
            self.say_now_and_then(delivery, &reason);
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
