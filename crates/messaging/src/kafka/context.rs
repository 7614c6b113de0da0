//! Callbacks of a consumer's client: the changes of its group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use super::lag::Lag;
use super::logging::Logging;
use super::membership::Membership;
use super::partitions::Partitions;
use super::protocol::Support;

/// What a consumer's client calls back into.
pub(super) struct Context {
    pub(super) partitions: Arc<Partitions<Self>>,
    /// Set when no broker answers; the session then asks until one does.
    pub(super) disconnected: AtomicBool,
    pub(super) membership: Membership,
    pub(super) lag: Lag,
    pub(super) support: Support,
    pub(super) logging: Logging,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.logging.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.disconnected.store(true, Ordering::Relaxed);
        }
        self.logging.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.lag.note(&statistics);
        self.support.note(&statistics);
        self.logging.stats(statistics);
    }
}

impl ConsumerContext for Context {
    /// Runs on the polling thread, before the client acts: workers exist before their first message
    /// can, and are idle before their partition is given up and its offsets are committed.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.membership.confirmed();
                self.support.shown();
                self.partitions.start(&names(list));
            }
            Rebalance::Revoke(list) => {
                if consumer.assignment_lost() {
                    self.membership.forgotten();
                }
                self.partitions.stop(&names(list));
            }
            Rebalance::Error(error) => {
                tracing::warn!(%error, "the consumer group cannot be rebalanced")
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.membership.note_commit(&result);
        match result {
            // Nothing was stored since the last time.
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) | Ok(()) => {}
            // The next commit carries the same offsets or later ones.
            Err(error) => {
                tracing::info!(%error, "offsets were not committed; the next commit includes them");
            }
        }
    }
}

fn names(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements()
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()))
        .collect()
}
