//! Whether the broker still counts us as a member of the group.
//!
//! A member that was removed (the broker was frozen, or we were) must join again to get its partitions back. As a rule
//! librdkafka does so by itself, but it was seen polling for ever outside of its group.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

/// How long the broker may take to return the offsets that are committed, or those that a partition has, and to commit.
const COMMITTED_TIMEOUT: Duration = Duration::from_millis(500);
/// The known membership, by two signs: an assignment that was lost, and the answers to commits. The client's own state is
/// no sign: with the newer protocol, a member without partitions stays in the state in which it joins.
pub(super) struct Membership(Mutex<State>);

struct State {
    /// Since when it has not been a member.
    forgotten: Option<Instant>,
    /// When the broker last showed that it knows the member.
    confirmed: Instant,
    /// Since when it has been found without anything to commit, and so without a way to find out.
    unassigned: Option<Instant>,
}

impl Default for Membership {
    fn default() -> Self {
        Self(Mutex::new(State {
            forgotten: None,
            confirmed: Instant::now(),
            unassigned: None,
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
            unassigned: None,
        };
    }

    /// For how long it has not been a member; `None` while it is one.
    pub(super) fn forgotten_for(&self) -> Option<Duration> {
        self.0.lock().forgotten.map(|since| since.elapsed())
    }

    /// For how long it has had nothing to commit, as a rule since it has no partitions: it may be one member too many, or
    /// forgotten, and no answer tells which.
    pub(super) fn unassigned_for(&self) -> Option<Duration> {
        self.0.lock().unassigned.map(|since| since.elapsed())
    }

    /// Learns from an attempt to commit once more.
    fn note_repetition(&self, answer: KafkaResult<Repeated>) {
        match answer {
            Ok(Repeated::Nothing) => {
                self.0.lock().unassigned.get_or_insert_with(Instant::now);
            }
            Ok(Repeated::Committed) => self.confirmed(),
            Err(error) => self.note_commit(&Err(error)),
        }
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
    /// partitions any more. `from_beginning`: a group without offsets reads its topics from their beginnings.
    pub(super) fn confirm<C: ConsumerContext + 'static>(
        &self,
        consumer: &Arc<BaseConsumer<C>>,
        time: Duration,
        from_beginning: bool,
    ) {
        {
            let mut state = self.0.lock();
            if state.forgotten.is_some() || state.confirmed.elapsed() < time {
                return;
            }
            // The next attempt is after the same time, however this one ends.
            state.confirmed = Instant::now();
        }
        let answer = commit_again(consumer, from_beginning);
        if let Err(error) = &answer {
            tracing::debug!(%error, "the membership of the consumer group was not confirmed");
        }
        self.note_repetition(answer);
    }
}

/// What an attempt to commit once more showed.
enum Repeated {
    /// The broker took a commit of this member.
    Committed,
    /// There is nothing that could be committed.
    Nothing,
}

fn commit_again<C: ConsumerContext + 'static>(
    consumer: &Arc<BaseConsumer<C>>,
    from_beginning: bool,
) -> KafkaResult<Repeated> {
    let assigned = consumer.assignment()?;
    let first = assigned.elements().first().map(|first| {
        let topic = first.topic().to_owned();
        (topic, first.partition())
    });
    let Some((topic, partition)) = first else {
        return Ok(Repeated::Nothing);
    };
    let committed = consumer.committed_offsets(assigned, COMMITTED_TIMEOUT)?;
    let known = committed
        .elements()
        .into_iter()
        .find(|element| matches!(element.offset(), Offset::Offset(_)));
    let mut one = TopicPartitionList::new();
    match known {
        Some(element) => {
            one.add_partition_offset(element.topic(), element.partition(), element.offset())?;
        }
        // Nothing was ever committed. Its position would pass what is in hand; the beginning passes nothing.
        None if from_beginning => {
            let (low, _) = consumer.fetch_watermarks(&topic, partition, COMMITTED_TIMEOUT)?;
            one.add_partition_offset(&topic, partition, Offset::Offset(low))?;
        }
        None => return Ok(Repeated::Nothing),
    }
    commit(consumer, one)?;
    Ok(Repeated::Committed)
}

/// Waits for the answer, since librdkafka calls back for its own commits only; and on a thread of its own, since librdkafka waits for
/// a group's coordinator that has gone for as long as it is gone. That thread ends with the client.
fn commit<C: ConsumerContext + 'static>(
    consumer: &Arc<BaseConsumer<C>>,
    offsets: TopicPartitionList,
) -> KafkaResult<()> {
    let (sender, answer) = mpsc::sync_channel(1);
    let committing = Arc::clone(consumer);
    let thread = thread::Builder::new().name("kafka commit".to_owned());
    let spawned = thread.spawn(move || {
        let _unwanted = sender.send(committing.commit(&offsets, CommitMode::Sync));
    });
    let no_answer = || KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut);
    spawned.map_err(|_no_thread| no_answer())?;
    answer
        .recv_timeout(COMMITTED_TIMEOUT)
        .unwrap_or_else(|_none| Err(no_answer()))
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
    use rdkafka::error::KafkaError;

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

    #[test]
    fn who_has_no_partitions_is_not_confirmed() {
        let membership = Membership::default();
        assert_eq!(membership.unassigned_for(), None);
        membership.note_repetition(Ok(Repeated::Nothing));
        assert!(membership.unassigned_for().is_some());
        assert_eq!(membership.forgotten_for(), None);
        membership.note_repetition(Ok(Repeated::Committed));
        assert_eq!(membership.unassigned_for(), None);
    }
}
