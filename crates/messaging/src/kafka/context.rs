//! Callbacks of a consumer's client: the changes of its group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use super::logging::Logging;
use super::partitions::Partitions;

/// What a consumer's client calls back into.
pub(super) struct Context {
    pub(super) partitions: Arc<Partitions<Self>>,
    /// Set when no broker answers; the session then asks until one does.
    pub(super) disconnected: AtomicBool,
    pub(super) membership: Membership,
    pub(super) logging: Logging,
}

/// Whether the broker still counts us as a member of the group. A member that was removed (the broker was frozen, or
/// we were) must join again to get its partitions back. As a rule librdkafka does so by itself, but it was seen
/// polling for ever outside of its group.
#[derive(Default)]
pub(super) struct Membership {
    forgotten: Mutex<Option<Instant>>,
}

impl Membership {
    fn forgotten(&self) {
        self.since().get_or_insert_with(Instant::now);
    }

    fn taken_back(&self) {
        *self.since() = None;
    }

    /// For how long it has not been a member; `None` while it is one.
    pub(super) fn forgotten_for(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.forgotten.lock()
    }
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
        self.logging.stats(statistics);
    }
}

impl ConsumerContext for Context {
    /// Runs on the polling thread, before the client acts: workers exist before their first message
    /// can, and are idle before their partition is given up and its offsets are committed.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.membership.taken_back();
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
        match result {
            // Nothing was stored since the last time.
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) | Ok(()) => {}
            // The next commit carries the same offsets or later ones.
            Err(error) => {
                if error.rdkafka_error_code().is_some_and(says_forgotten) {
                    self.membership.forgotten();
                }
                tracing::info!(%error, "offsets were not committed; the next commit includes them");
            }
        }
    }
}

/// Not `StaleMemberEpoch`: that commit was only sent while the group was rebalanced.
fn says_forgotten(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::FencedMemberEpoch
    )
}

fn names(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements()
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()))
        .collect()
}
