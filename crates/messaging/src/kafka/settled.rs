//! Which letters of a topic are settled: a bit for each record.

use std::ops::Range;

use crate::MessagingError;

/// The most records of a dead-letter topic that can be looked at: 16 MiB of bits. To read them all takes minutes by then.
pub(super) const RECORDS_MAX: u64 = 1 << 27;

/// From where to where each partition reaches: its number, the first offset, the offset after the last.
pub(super) type Extent = Vec<(i32, i64, i64)>;

/// As large as the topic has records, however many settlements there are. What they name and is not in the topic any
/// more takes no room.
pub(super) struct Settled {
    partitions: Vec<Bits>,
    count: u64,
}

struct Bits {
    partition: i32,
    offsets: Range<i64>,
    words: Vec<u64>,
}

impl Settled {
    /// None of them yet.
    ///
    /// # Errors
    /// [`MessagingError::Config`] if there are more records than [`RECORDS_MAX`].
    pub(super) fn none_of(topic: &str, extent: &Extent) -> Result<Self, MessagingError> {
        let records: u64 = extent
            .iter()
            .map(|(_, low, high)| low.abs_diff(*high))
            .sum();
        if records > RECORDS_MAX {
            return Err(MessagingError::Config(format!(
                "topic {topic} has {records} records, and dead letters are looked for in at most {RECORDS_MAX}: let it keep \
                 them for a shorter time (retention.ms), or delete the oldest"
            )));
        }
        let bits = |&(partition, low, high): &(i32, i64, i64)| {
            let words = usize::try_from(low.abs_diff(high).div_ceil(64)).unwrap_or_default();
            Bits {
                partition,
                offsets: low..high,
                words: vec![0; words],
            }
        };
        Ok(Self {
            partitions: extent.iter().map(bits).collect(),
            count: 0,
        })
    }

    /// One that was settled twice counts once, one that is not there any more not at all.
    pub(super) fn insert(&mut self, partition: i32, offset: i64) {
        let Some((word, bit)) = self.find(partition, offset) else {
            return;
        };
        let bits = &mut self.partitions[word.0].words[word.1];
        self.count += u64::from(*bits & bit == 0);
        *bits |= bit;
    }

    pub(super) fn contains(&self, partition: i32, offset: i64) -> bool {
        self.find(partition, offset)
            .is_some_and(|(word, bit)| self.partitions[word.0].words[word.1] & bit != 0)
    }

    /// How many they are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The partition's index with the word's, and the bit in it.
    fn find(&self, partition: i32, offset: i64) -> Option<((usize, usize), u64)> {
        let mut all = self.partitions.iter();
        let index = all.position(|bits| bits.partition == partition)?;
        let offsets = &self.partitions[index].offsets;
        if !offsets.contains(&offset) {
            return None;
        }
        let at = usize::try_from(offset - offsets.start).ok()?;
        Some(((index, at / 64), 1 << (at % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_of_the_topic_is_settled_once_and_nothing_else_is() {
        let mut settled = Settled::none_of("t", &vec![(0, 5, 205), (3, 0, 1)]).unwrap();
        for (partition, offset) in [(0, 5), (0, 68), (0, 69), (0, 204), (0, 69), (3, 0)] {
            settled.insert(partition, offset);
        }
        // Deleted, not there yet, of a partition that is not there.
        for (partition, offset) in [(0, 4), (0, 205), (3, 1), (1, 5), (0, i64::MIN), (0, -1)] {
            settled.insert(partition, offset);
            assert!(!settled.contains(partition, offset), "{partition}/{offset}");
        }
        assert_eq!(settled.count(), 5);
        let inside: Vec<_> = (5..205)
            .filter(|offset| settled.contains(0, *offset))
            .collect();
        assert_eq!(inside, [5, 68, 69, 204]);
        assert!(settled.contains(3, 0));
    }

    /// A month of settlements takes no more room than the topic has records.
    #[test]
    fn memory_is_bounded_by_the_records_and_these_are_bounded() {
        let most = i64::try_from(RECORDS_MAX).unwrap();
        let at_most = vec![(0, 7, 7 + most / 2), (1, 0, most / 2)];
        let settled = Settled::none_of("t", &at_most).unwrap();
        let words: usize = settled.partitions.iter().map(|bits| bits.words.len()).sum();
        assert_eq!(words * 8, 16 * 1024 * 1024);
        let more = vec![(0, 7, 7 + most / 2), (1, 0, most / 2 + 1)];
        let refused = Settled::none_of("order-events.products.dlq", &more)
            .err()
            .unwrap();
        let refused = refused.to_string();
        assert!(
            refused.contains("order-events.products.dlq has 134217729 records"),
            "{refused}"
        );
    }
}
