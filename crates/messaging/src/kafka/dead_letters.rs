//! Parks messages on the dead-letter topic of a group.

use std::sync::Arc;

use parking_lot::Mutex;

use super::config::{DEAD_LETTER_EXTRA_BYTES, KafkaConfig, MESSAGE_MAX_BYTES};
use super::publisher::KafkaPublisher;
use crate::dead_letter::{self, Origin};
use crate::{Delivery, Destination, PublishError, Publisher};

/// The topic where `group` parks messages of `topic`. Each group has its own: what one reader
/// cannot digest may be fine for another.
#[must_use]
pub fn dead_letter_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}.dlq")
}

/// See the module.
pub(super) struct DeadLetters {
    config: KafkaConfig,
    group: String,
    // Made at the first parking: most consumers never need a second client with its threads.
    publisher: Mutex<Option<Arc<KafkaPublisher>>>,
}

impl DeadLetters {
    pub(super) fn new(config: &KafkaConfig, group: &str) -> Self {
        Self {
            config: config.clone(),
            group: group.to_owned(),
            publisher: Mutex::new(None),
        }
    }

    /// Publishes the message with its reason and origin, and waits for the broker's acknowledgement.
    ///
    /// # Errors
    /// The publisher's. A dead-letter topic that does not exist and cannot be created is among them:
    /// then the message waits where it is.
    pub(super) async fn park(&self, delivery: &Delivery, reason: &str) -> Result<(), PublishError> {
        let (partition, offset) = delivery.position.unwrap_or_default();
        let origin = Origin::Topic {
            name: &delivery.source,
            partition,
            offset,
        };
        let message = dead_letter::parked(&delivery.message, origin, reason, delivery.attempt);
        let to = Destination::Topic(dead_letter_topic(&delivery.source, &self.group));
        self.publisher()?.publish(&to, message).await?;
        Ok(())
    }

    fn publisher(&self) -> Result<Arc<KafkaPublisher>, PublishError> {
        let mut slot = self.publisher.lock();
        if let Some(publisher) = &*slot {
            return Ok(Arc::clone(publisher));
        }
        let max_bytes = MESSAGE_MAX_BYTES + DEAD_LETTER_EXTRA_BYTES;
        let publisher = KafkaPublisher::with_max_bytes(&self.config, max_bytes)
            .map(Arc::new)
            .map_err(|error| PublishError::Unavailable(error.to_string()))?;
        *slot = Some(Arc::clone(&publisher));
        Ok(publisher)
    }
}
