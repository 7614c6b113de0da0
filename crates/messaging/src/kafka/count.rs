//! Counts the dead letters of a group.

use tokio_util::sync::CancellationToken;

use super::config::{ConsumerOptions, KafkaConfig, ParkIn};
use super::names::group_queue;
use super::redrive::KafkaDeadLetters;
use crate::dead_letters::gauge;

/// Runs until `shutdown`.
pub(super) async fn run(
    config: &KafkaConfig,
    options: &ConsumerOptions,
    shutdown: &CancellationToken,
) {
    let topics = options.topics.iter().map(String::as_str);
    match &options.park_in {
        ParkIn::Topic => match KafkaDeadLetters::of(config, &options.group, topics) {
            Ok(letters) => gauge::run(&letters, &options.dead_letters, shutdown).await,
            Err(error) => tracing::warn!(%error, "dead letters are not counted"),
        },
        ParkIn::Queue(queue) => {
            let queues: Vec<_> = topics
                .map(|topic| group_queue(topic, &options.group))
                .collect();
            let letters = queue.dead_letters(&queues);
            gauge::run(letters.as_ref(), &options.dead_letters, shutdown).await;
        }
    }
}
