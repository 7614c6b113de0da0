//! Callbacks of librdkafka: its log lines, and the changes of the group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::partitions::Partitions;

/// Sends librdkafka's log lines to `tracing`, as details: it repeats a broker's absence at each
/// attempt, and what matters is reported once by the publisher's answer or the consumer's status.
#[derive(Debug, Clone)]
pub(super) struct Logging;

impl ClientContext for Logging {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", facility, "{line}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

/// What a consumer's client calls back into.
pub(super) struct Context {
    pub(super) partitions: Arc<Partitions>,
    /// Set when no broker answers; the session then asks until one does.
    pub(super) disconnected: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Logging.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.disconnected.store(true, Ordering::Relaxed);
        }
        Logging.error(error, reason);
    }
}

impl ConsumerContext for Context {
    /// Runs on the polling thread, before the client acts: workers exist before their first message
    /// can, and are idle before their partition is given up and its offsets are committed.
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.partitions.start(&names(list)),
            Rebalance::Revoke(list) => self.partitions.stop(&names(list)),
            Rebalance::Error(error) => {
                tracing::warn!(%error, "the consumer group cannot be rebalanced")
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            // Nothing was stored since the last time.
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) | Ok(()) => {}
            // The next commit carries the same offsets or later ones.
            Err(error) => tracing::warn!(%error, "offsets were not committed"),
        }
    }
}

fn names(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements()
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()))
        .collect()
}
