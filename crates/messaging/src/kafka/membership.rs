//! Whether the broker still counts us as a member of the group.
//!
//! A member that was removed (the broker was frozen, or we were) must join again to get its partitions back. As a rule
//! librdkafka does so by itself, but it was seen polling for ever outside of its group.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

/// How long the broker may take to return the offsets that are committed.
const COMMITTED_TIMEOUT: Duration = Duration::from_millis(500);
/// What is known of it, by two signs: an assignment that was lost, and the answers to commits. The client's own state is
/// none: with the newer protocol, a member without partitions stays in the state in which it joins.
pub(super) struct Membership(Mutex<State>);

struct State {
    /// Since when it has not been a member.
    forgotten: Option<Instant>,
    /// When the broker last showed that it knows the member.
    confirmed: Instant,
}

impl Default for Membership {
    fn default() -> Self {
        Self(Mutex::new(State {
            forgotten: None,
            confirmed: Instant::now(),
        }))
    }
}

impl Membership {
    /// The broker does not know the member.
    pub(super) fn forgotten(&self) {
        self.0.lock().forgotten.get_or_insert_with(Instant::now);
    }

    /// The broker knows the member.
    pub(super) fn confirmed(&self) {
        *self.0.lock() = State {
            forgotten: None,
            confirmed: Instant::now(),
        };
    }

    /// For how long it has not been a member; `None` while it is one.
    pub(super) fn forgotten_for(&self) -> Option<Duration> {
        self.0.lock().forgotten.map(|since| since.elapsed())
    }

    /// Learns from the answer to a commit.
    pub(super) fn note_commit(&self, result: &KafkaResult<()>) {
        match result {
            Ok(()) => self.confirmed(),
            Err(error) if error.rdkafka_error_code().is_some_and(says_forgotten) => {
                self.forgotten();
            }
            Err(_) => {}
        }
    }

    /// Commits an offset once more that is committed already, if the broker has not shown for `time` that it knows the
    /// member. One that has nothing to do has nothing to commit, and would not learn otherwise that it has no
    /// partitions any more.
    pub(super) fn confirm<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>, time: Duration) {
        {
            let mut state = self.0.lock();
            if state.forgotten.is_some() || state.confirmed.elapsed() < time {
                return;
            }
            // The next attempt is after the same time, however this one ends.
            state.confirmed = Instant::now();
        }
        let answer = commit_again(consumer);
        if let Err(error) = &answer {
            tracing::debug!(%error, "the membership of the consumer group was not confirmed");
        }
        self.note_commit(&answer);
    }
}

/// Waits for the answer, since librdkafka calls back for its own commits only.
fn commit_again<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Result<(), KafkaError> {
    let assigned = consumer.assignment()?;
    if assigned.count() == 0 {
        return Ok(());
    }
    let committed = consumer.committed_offsets(assigned, COMMITTED_TIMEOUT)?;
    let mut one = TopicPartitionList::new();
    // Of a partition from which nothing was ever committed there is nothing to repeat.
    let known = committed
        .elements()
        .into_iter()
        .find(|element| matches!(element.offset(), Offset::Offset(_)));
    if let Some(element) = known {
        one.add_partition_offset(element.topic(), element.partition(), element.offset())?;
        consumer.commit(&one, CommitMode::Sync)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_refusals_of_a_commit_say_that_it_was_forgotten() {
        let membership = Membership::default();
        let refused = |code| Err(KafkaError::ConsumerCommit(code));
        membership.note_commit(&refused(RDKafkaErrorCode::StaleMemberEpoch));
        assert_eq!(membership.forgotten_for(), None);
        membership.note_commit(&refused(RDKafkaErrorCode::UnknownMemberId));
        assert!(membership.forgotten_for().is_some());
        membership.note_commit(&Ok(()));
        assert_eq!(membership.forgotten_for(), None);
    }
}
