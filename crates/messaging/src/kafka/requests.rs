//! How many requests a client sends to its brokers, as a metric.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::Statistics;

/// The interval of librdkafka's statistics, and so the age of the metric. Each report costs some microseconds.
pub(super) const PERIOD: Duration = Duration::from_secs(5);

/// Turns the totals of one client, which begin anew with each client, into `messaging_kafka_requests_total`, which is
/// of all clients that call themselves alike. Its `request` is a kind of the protocol: `Produce`, `Fetch`.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    counted: Arc<Mutex<HashMap<String, i64>>>,
}

impl Requests {
    pub(super) fn note(&self, statistics: &Statistics) {
        let mut totals = HashMap::<&str, i64>::new();
        for (kind, sent) in statistics.brokers.values().flat_map(|broker| &broker.req) {
            *totals.entry(kind).or_default() += sent;
        }
        let mut counted = self.counted.lock();
        for (kind, total) in totals {
            let more = total - counted.get(kind).copied().unwrap_or_default();
            // A broker that left the cluster takes what it had received with it.
            let Some(more) = u64::try_from(more).ok().filter(|more| *more > 0) else {
                continue;
            };
            counted.insert(kind.to_owned(), total);
            let (client, request) = (statistics.client_id.clone(), kind.to_owned());
            metrics::counter!("messaging_kafka_requests_total", "client" => client, "request" => request)
                .increment(more);
        }
    }
}
