//! How far a group is behind its topics, as a metric.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use rdkafka::Statistics;

use super::SYSTEM;
use crate::observe::Place;

/// Turns librdkafka's statistics into `messaging_consumer_lag`: the messages of a topic that are not done yet, in
/// the partitions of this member. The lag of a group is the sum over its members.
#[derive(Debug)]
pub(super) struct Lag {
    group: String,
    /// Topics that were reported: once no partition of one is ours, its gauge goes back to 0.
    topics: Mutex<HashSet<String>>,
}

impl Lag {
    pub(super) fn of(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            topics: Mutex::default(),
        }
    }

    pub(super) fn note(&self, statistics: &Statistics) {
        let mut topics = self.topics.lock();
        let mut lags: HashMap<&str, i64> = topics.iter().map(|topic| (&**topic, 0)).collect();
        let found = lags_of(statistics);
        lags.extend(found.iter().map(|(topic, lag)| (*topic, *lag)));
        for (topic, lag) in &lags {
            self.report(topic, *lag);
        }
        let new: Vec<_> = found.into_keys().map(str::to_owned).collect();
        topics.extend(new);
    }

    fn report(&self, topic: &str, lag: i64) {
        let place = Place {
            system: SYSTEM,
            destination: topic,
            group: Some(&self.group),
        };
        place.lag().set(lag as f64);
    }
}

/// A client that is replaced has no partitions any more.
impl Drop for Lag {
    fn drop(&mut self) {
        for topic in self.topics.lock().iter() {
            self.report(topic, 0);
        }
    }
}

/// The sum over the partitions that are ours.
fn lags_of(statistics: &Statistics) -> HashMap<&str, i64> {
    let mut lags = HashMap::new();
    for topic in statistics.topics.values() {
        for partition in topic.partitions.values().filter(|p| p.desired) {
            // By offsets that were stored, which is after the effect; -1 while the broker has not told the end yet.
            let lag = partition.consumer_lag_stored.max(0);
            *lags.entry(topic.topic.as_str()).or_default() += lag;
        }
    }
    lags
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Partition, Topic};

    use super::*;

    #[test]
    fn the_lag_of_a_topic_is_the_sum_over_our_partitions() {
        let partition = |desired, consumer_lag_stored| Partition {
            desired,
            consumer_lag_stored,
            ..Partition::default()
        };
        let topic = Topic {
            topic: "events".to_owned(),
            partitions: [
                (0, partition(true, 3)),
                (1, partition(true, -1)),
                (2, partition(false, 40)),
                (3, partition(true, 4)),
            ]
            .into(),
            ..Topic::default()
        };
        let statistics = Statistics {
            topics: [("events".to_owned(), topic)].into(),
            ..Statistics::default()
        };
        assert_eq!(lags_of(&statistics), [("events", 7)].into());
    }
}
