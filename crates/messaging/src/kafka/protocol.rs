//! Brokers that do not know the newer protocol of consumer groups.
//!
//! Where a broker refuses the protocol's heartbeat, librdkafka reports an error. Where it does not list that request, as all
//! brokers before Apache Kafka 3.7, librdkafka neither sends one nor says so, and waits for ever.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rdkafka::Statistics;

/// Statistics in a row that must show the same: a request may be about to be sent.
const IN_A_ROW: u32 = 2;
/// The state of a client that is connected to the coordinator of its group.
const CONNECTED: &str = "up";

/// Finds out whether the brokers know the protocol of the group.
#[derive(Debug, Default)]
pub(super) struct Support {
    subscribed: AtomicBool,
    without_request: AtomicU32,
}

impl Support {
    /// From now on the client wants to be a member.
    pub(super) fn subscribed(&self) {
        self.subscribed.store(true, Ordering::Relaxed);
    }

    pub(super) fn note(&self, statistics: &Statistics) {
        if self.subscribed.load(Ordering::Relaxed) && asks_for_nothing(statistics) {
            self.without_request.fetch_add(1, Ordering::Relaxed);
        } else {
            self.without_request.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the brokers do not know it.
    pub(super) fn is_missing(&self) -> bool {
        self.without_request.load(Ordering::Relaxed) >= IN_A_ROW
    }
}

/// Whether the client has found the coordinator and has never asked it for a place in the group.
fn asks_for_nothing(statistics: &Statistics) -> bool {
    let group = statistics.cgrp.as_ref();
    let mut brokers = statistics.brokers.values();
    let asks = ["ConsumerGroupHeartbeat", "JoinGroup"];
    group.is_some_and(|group| group.state == CONNECTED)
        && !brokers.any(|b| {
            asks.iter()
                .any(|ask| b.req.get(*ask).is_some_and(|n| *n > 0))
        })
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Broker, ConsumerGroup};

    use super::*;

    fn statistics(state: &str, request: &str) -> Statistics {
        let group = ConsumerGroup {
            state: state.to_owned(),
            ..ConsumerGroup::default()
        };
        let broker = Broker {
            req: [(request.to_owned(), 1)].into(),
            ..Broker::default()
        };
        Statistics {
            cgrp: Some(group),
            brokers: [("one".to_owned(), broker)].into(),
            ..Statistics::default()
        }
    }

    #[test]
    fn a_member_that_asks_for_no_place_in_its_group_has_an_old_broker() {
        let support = Support::default();
        let silent = statistics(CONNECTED, "FindCoordinator");
        let note = |statistics: &Statistics| {
            support.note(statistics);
            support.is_missing()
        };
        assert!(!note(&silent) && !note(&silent), "it has no topics yet");
        support.subscribed();
        for other in [
            statistics("wait-broker", "FindCoordinator"),
            statistics(CONNECTED, "ConsumerGroupHeartbeat"),
            statistics(CONNECTED, "JoinGroup"),
        ] {
            assert!(!note(&silent) && !note(&other), "{other:?}");
        }
        assert!(!note(&silent) && note(&silent));
    }
}
