//! Parks messages that a group cannot handle.

use std::sync::Arc;

use parking_lot::Mutex;

use super::config::{
    ConsumerOptions, DEAD_LETTER_EXTRA_BYTES, KafkaConfig, MESSAGE_MAX_BYTES, ParkIn,
};
use super::names::{dead_letter_topic, group_queue};
use super::publisher::KafkaPublisher;
use crate::dead_letter::{self, Origin};
use crate::dead_letters::COPY_OF;
use crate::{Delivery, Destination, PublishError, Publisher, names};

/// See the module.
pub(super) struct DeadLetters {
    config: KafkaConfig,
    group: String,
    park_in: ParkIn,
    // Made at the first parking: most consumers never need a second client with its threads.
    publisher: Mutex<Option<Arc<KafkaPublisher>>>,
}

impl DeadLetters {
    pub(super) fn new(config: &KafkaConfig, options: &ConsumerOptions) -> Self {
        Self {
            config: config.clone(),
            group: options.group.clone(),
            park_in: options.park_in.clone(),
            publisher: Mutex::new(None),
        }
    }

    /// Stores the message with its reason and origin, and waits until that is done.
    ///
    /// # Errors
    /// The publisher's. A dead-letter topic that does not exist and cannot be created is among them:
    /// then the message waits where it is.
    pub(super) async fn park(&self, delivery: &Delivery, reason: &str) -> Result<(), PublishError> {
        let origin = Origin::Topic {
            name: &delivery.source,
            position: delivery.position,
        };
        let mut message = dead_letter::parked(&delivery.message, origin, reason, delivery.attempt);
        let topic = Destination::Topic(dead_letter_topic(&delivery.source, &self.group));
        if let ParkIn::Queue(queue) = &self.park_in {
            let dead = names::dead(&group_queue(&delivery.source, &self.group));
            let kept = Destination::Queue(dead.clone());
            queue.publish(&kept, message.clone()).await?;
            // The letter is safe; its copy is only to be seen.
            message.headers.push((COPY_OF.to_owned(), dead));
            if let Err(error) = self.publisher()?.publish(&topic, message).await {
                tracing::debug!(%error, "the copy of a dead letter was not published");
            }
            return Ok(());
        }
        self.publisher()?.publish(&topic, message).await
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
