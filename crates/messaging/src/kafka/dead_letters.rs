//! Parks messages that a group cannot handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::config::{
    ConsumerOptions, DEAD_LETTER_EXTRA_BYTES, KafkaConfig, MESSAGE_MAX_BYTES, ParkIn, Resends,
};
use super::names::{dead_letter_topic, group_queue};
use super::publisher::KafkaPublisher;
use crate::dead_letter::{self, Origin};
use crate::dead_letters::COPY_OF;
use crate::{Delivery, Destination, Message, PublishError, Publisher, names};

/// See the module.
pub(super) struct DeadLetters {
    config: KafkaConfig,
    group: String,
    park_in: ParkIn,
    // Made at the first parking: most consumers never need a second client with its threads.
    publisher: Mutex<Option<Arc<KafkaPublisher>>>,
    // Whether the last letter could not be stored. One outage is one line in the log, however many partitions wait.
    failing: AtomicBool,
}

impl DeadLetters {
    pub(super) fn new(config: &KafkaConfig, options: &ConsumerOptions) -> Self {
        Self {
            config: config.clone(),
            group: options.group.clone(),
            park_in: options.park_in.clone(),
            publisher: Mutex::new(None),
            failing: AtomicBool::new(false),
        }
    }

    /// Stores the message with its reason and origin, and waits until that is done. Of a message that is too large
    /// everything but the body is stored: a broker takes batches by their compressed size, so a group can be given
    /// messages of any size, and none of them may hold up its partition for ever.
    ///
    /// # Errors
    /// The publisher's. A dead-letter topic that does not exist and cannot be created is among them:
    /// then the message waits where it is.
    pub(super) async fn park(&self, delivery: &Delivery, reason: &str) -> Result<(), PublishError> {
        let origin = Origin::Topic {
            name: &delivery.source,
            position: delivery.position,
        };
        let letter = dead_letter::parked(&delivery.message, origin, reason, delivery.attempt);
        let stored = match self.store(&delivery.source, letter.clone()).await {
            Err(PublishError::TooLarge(why)) => {
                tracing::debug!(why, "a dead letter is stored without its body");
                let small = dead_letter::without_body(letter);
                self.store(&delivery.source, small).await
            }
            stored => stored,
        };
        self.note(&delivery.source, stored.as_ref().err());
        stored
    }

    /// Logs the first failure of an outage.
    fn note(&self, topic: &str, error: Option<&PublishError>) {
        let was_failing = self.failing.swap(error.is_some(), Ordering::Relaxed);
        let Some(error) = error else {
            return;
        };
        if was_failing {
            tracing::debug!(%error, topic, "a dead letter was not stored; trying again");
        } else {
            tracing::warn!(
                %error,
                topic,
                "dead letters cannot be stored; their partitions wait until they are"
            );
        }
    }

    async fn store(&self, source: &str, letter: Message) -> Result<(), PublishError> {
        let topic = Destination::Topic(dead_letter_topic(source, &self.group));
        let ParkIn::Queue(queue) = &self.park_in else {
            return self.publisher()?.publish(&topic, letter).await;
        };
        let dead = names::dead(&group_queue(source, &self.group));
        let mut letter = without_zero_bytes(letter);
        let kept = Destination::Queue(dead.clone());
        queue.publish(&kept, letter.clone()).await?;
        // The letter is stored; the copy is only for readers of the topic.
        letter.headers.push((COPY_OF.to_owned(), dead));
        if let Err(error) = self.publisher()?.publish(&topic, letter).await {
            tracing::debug!(%error, "the copy of a dead letter was not published");
        }
        Ok(())
    }

    fn publisher(&self) -> Result<Arc<KafkaPublisher>, PublishError> {
        let mut slot = self.publisher.lock();
        if let Some(publisher) = &*slot {
            return Ok(Arc::clone(publisher));
        }
        let max_bytes = MESSAGE_MAX_BYTES + DEAD_LETTER_EXTRA_BYTES;
        // The partition waits for its letter, with all neighbours of the poison. A letter that is there twice is taken out
        // twice, and a consumer that keeps an inbox handles it once.
        let publisher = KafkaPublisher::with(&self.config, Resends::MayDouble, max_bytes)
            .map(Arc::new)
            .map_err(|error| PublishError::Unavailable(error.to_string()))?;
        *slot = Some(Arc::clone(&publisher));
        Ok(publisher)
    }
}

/// Replaces zero bytes in texts: Kafka carries them, a queue in PostgreSQL cannot.
fn without_zero_bytes(mut letter: Message) -> Message {
    let clean = |text: &mut String| {
        if text.contains('\0') {
            *text = text.replace('\0', "\u{fffd}");
        }
    };
    letter.key.iter_mut().for_each(clean);
    for (name, value) in &mut letter.headers {
        clean(name);
        clean(value);
    }
    letter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logged::Logged;

    fn letters() -> DeadLetters {
        let config = KafkaConfig::new("127.0.0.1:1", "test");
        DeadLetters::new(&config, &ConsumerOptions::new("billing", ["facts"]))
    }

    #[test]
    fn an_outage_of_the_dead_letters_is_one_warning() {
        let (log, letters) = (Logged::begin(), letters());
        let away = PublishError::Unavailable("no answer".to_owned());
        for _ in 0..2 {
            for _ in 0..5 {
                letters.note("facts", Some(&away));
                letters.note("more-facts", Some(&away));
            }
            letters.note("facts", None);
        }
        assert_eq!(log.of("WARN").len(), 2, "{:?}", log.of("WARN"));
        assert_eq!(log.of("ERROR"), [""; 0]);
    }

    #[test]
    fn a_queue_gets_no_zero_bytes() {
        let letter = Message::new("x").with_key("a\0b").with_header("c\0", "d");
        let clean = without_zero_bytes(letter);
        assert_eq!(clean.key.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(clean.header("c\u{fffd}"), Some("d"));
    }
}
