//! Which dead letters are those of a group, and how many there are.

use tokio_util::sync::CancellationToken;

use super::config::{ConsumerOptions, KafkaConfig, ParkIn};
use super::names::group_queue;
use super::redrive::KafkaDeadLetters;
use crate::MessagingError;
use crate::dead_letters::{DeadLetterStore, gauge};

/// What a consumer with these options has parked.
///
/// # Errors
/// As for [`KafkaDeadLetters::new`].
pub fn dead_letters_of(
    config: &KafkaConfig,
    options: &ConsumerOptions,
) -> Result<Box<dyn DeadLetterStore>, MessagingError> {
    let topics = options.topics.iter().map(String::as_str);
    let group = &options.group;
    Ok(match &options.park_in {
        ParkIn::Topic => Box::new(KafkaDeadLetters::of(config, group, topics)?),
        ParkIn::Queue(queue) => {
            let queues: Vec<_> = topics.map(|topic| group_queue(topic, group)).collect();
            queue.dead_letters(&queues)
        }
    })
}

/// Runs until `shutdown`.
pub(super) async fn run(
    config: &KafkaConfig,
    options: &ConsumerOptions,
    shutdown: &CancellationToken,
) {
    match dead_letters_of(config, options) {
        Ok(letters) => gauge::run(letters.as_ref(), &options.dead_letters, shutdown).await,
        Err(error) => tracing::warn!(%error, "dead letters are not counted"),
    }
}
