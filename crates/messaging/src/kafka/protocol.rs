//! Brokers that do not know the newer protocol of consumer groups.
//!
//! Where a broker refuses the protocol's heartbeat, librdkafka reports an error. Where it does not list that request, as all
//! brokers before Apache Kafka 3.7, librdkafka neither sends one nor says so, and waits for ever.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rdkafka::Statistics;
use rdkafka::statistics::Broker;

/// Statistics in a row that must show the same: a request may be about to be sent.
const IN_A_ROW: u32 = 2;
/// The state of a client that is connected to the coordinator of its group.
const CONNECTED: &str = "up";
/// What librdkafka calls its connection to the coordinator.
const COORDINATOR: &str = "GroupCoordinator";

/// Finds out whether the brokers know the protocol of the group. Once they have shown that they do, that does not change:
/// members of one group that speak different protocols would be given the same partitions.
#[derive(Debug, Default)]
pub(super) struct Support {
    subscribed: AtomicBool,
    shown: AtomicBool,
    without_request: AtomicU32,
}

impl Support {
    /// From now on the client wants to be a member.
    pub(super) fn subscribed(&self) {
        self.subscribed.store(true, Ordering::Relaxed);
    }

    /// The group gave the client an assignment.
    pub(super) fn shown(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    /// Whether the group has shown that the client is a member.
    pub(super) fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, statistics: &Statistics) {
        if asks_for_a_place(statistics) {
            self.shown();
        }
        if self.subscribed.load(Ordering::Relaxed) && has_coordinator(statistics) {
            self.without_request.fetch_add(1, Ordering::Relaxed);
        } else {
            self.without_request.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the brokers do not know it.
    pub(super) fn is_missing(&self) -> bool {
        !self.is_shown() && self.without_request.load(Ordering::Relaxed) >= IN_A_ROW
    }
}

fn has_coordinator(statistics: &Statistics) -> bool {
    let group = statistics.cgrp.as_ref();
    group.is_some_and(|group| group.state == CONNECTED)
}

/// Whether the client has ever asked the coordinator for a place in the group. The newer protocol's heartbeat is counted
/// among the requests that were sent, but librdkafka leaves it out of the list of their kinds: what is not in the list was
/// one. All other kinds that it leaves out are never sent to a coordinator.
fn asks_for_a_place(statistics: &Statistics) -> bool {
    let mut brokers = statistics.brokers.iter();
    brokers.any(|(name, broker)| {
        let count = |kind: &str| broker.req.get(kind).copied().unwrap_or_default();
        count("JoinGroup") > 0 || (name == COORDINATOR && sent(broker) > listed(broker))
    })
}

fn sent(broker: &Broker) -> i128 {
    broker.tx.into()
}

fn listed(broker: &Broker) -> i128 {
    broker.req.values().copied().map(i128::from).sum()
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::ConsumerGroup;

    use super::*;

    /// What a client says that has found its coordinator, has sent it `tx` requests, and lists one of this kind.
    fn statistics(state: &str, tx: u64, request: &str) -> Statistics {
        let group = ConsumerGroup {
            state: state.to_owned(),
            ..ConsumerGroup::default()
        };
        let broker = Broker {
            tx,
            req: [(request.to_owned(), 1)].into(),
            ..Broker::default()
        };
        Statistics {
            cgrp: Some(group),
            brokers: [(COORDINATOR.to_owned(), broker)].into(),
            ..Statistics::default()
        }
    }

    fn silent() -> Statistics {
        statistics(CONNECTED, 1, "ApiVersion")
    }

    fn is_missing_after(support: &Support, all: &[Statistics]) -> bool {
        all.iter().for_each(|one| support.note(one));
        support.is_missing()
    }

    #[test]
    fn a_member_that_asks_for_no_place_in_its_group_has_an_old_broker() {
        let support = Support::default();
        let without_topics = [silent(), silent()];
        assert!(!is_missing_after(&support, &without_topics));
        support.subscribed();
        let unconnected = [silent(), statistics("wait-broker", 1, "ApiVersion")];
        assert!(!is_missing_after(&support, &unconnected));
        assert!(!is_missing_after(&support, &[silent()]), "about to ask");
        assert!(is_missing_after(&support, &[silent()]));
    }

    #[test]
    fn what_was_shown_once_is_not_forgotten() {
        let asks = [
            statistics(CONNECTED, 1, "JoinGroup"),
            // Sent, and not in the list: the newer protocol's heartbeat.
            statistics(CONNECTED, 2, "ApiVersion"),
        ];
        for ask in asks {
            let support = Support::default();
            support.subscribed();
            let all = [ask, silent(), silent(), silent()];
            assert!(!is_missing_after(&support, &all), "{:?}", all[0]);
        }
        let assigned = Support::default();
        assigned.subscribed();
        assigned.shown();
        assert!(!is_missing_after(&assigned, &[silent(), silent()]));
    }
}
