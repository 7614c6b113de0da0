//! The event stream: the one in memory, unless brokers are given.

use contracts::topics::{ORDER_EVENTS, STOCK_EVENTS, USER_EVENTS};
use embedded::kafka::MockKafka;

use crate::cli::Up;
use crate::failure::Failure;

/// Partitions of the topics of facts. The in-memory cluster keeps the newest 5 MiB of each, so 35 MiB at most: a consumer may
/// be behind by some 10,000 orders, and the process stays small. Dead letters take 20 MiB more at most. More partitions would
/// raise both numbers. An order has half as many bytes of events about stock as about itself, and users have hardly any.
const ORDER_PARTITIONS: i32 = 4;
const STOCK_PARTITIONS: i32 = 2;
const USER_PARTITIONS: i32 = 1;
/// Partitions of each topic of dead letters, as on containers.
const DEAD_PARTITIONS: i32 = 1;

/// The topics, and the dead letters of each consumer group.
const TOPICS: [(&str, i32); 7] = [
    (ORDER_EVENTS, ORDER_PARTITIONS),
    (STOCK_EVENTS, STOCK_PARTITIONS),
    (USER_EVENTS, USER_PARTITIONS),
    ("order-events.products.dlq", DEAD_PARTITIONS),
    ("order-events.notifications.dlq", DEAD_PARTITIONS),
    ("stock-events.orders.dlq", DEAD_PARTITIONS),
    ("user-events.notifications.dlq", DEAD_PARTITIONS),
];

/// The event stream.
#[derive(Debug)]
pub(crate) enum Kafka {
    /// Brokers that the user provides.
    Given(String),
    /// The cluster in this process.
    Memory(MockKafka),
}

impl Kafka {
    pub(crate) async fn start(up: &Up) -> Result<Self, Failure> {
        if let Some(brokers) = &up.engines.kafka_brokers {
            return Ok(Self::Given(brokers.clone()));
        }
        let failed =
            |why: String| Failure::new(format!("the Kafka in memory did not start: {why}"));
        tokio::task::spawn_blocking(|| MockKafka::start(&TOPICS))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map(Self::Memory)
            .map_err(|error| failed(error.to_string()))
    }

    pub(crate) fn brokers(&self) -> &str {
        match self {
            Self::Given(brokers) => brokers,
            Self::Memory(kafka) => kafka.bootstrap_servers(),
        }
    }

    /// Makes the in-memory Kafka unavailable, and blocks until its port is free.
    pub(crate) fn down(&self) {
        if let Self::Memory(kafka) = self {
            kafka.down();
            kafka.settle();
        }
    }

    /// Makes it available again. Its port must be free.
    pub(crate) fn up(&self) {
        if let Self::Memory(kafka) = self {
            kafka.up();
        }
    }

    pub(crate) fn forgets(&self) -> bool {
        matches!(self, Self::Memory(_))
    }
}

#[cfg(test)]
mod tests {
    use embedded::kafka::PARTITION_MAX_BYTES;

    use super::*;

    /// The process takes 55 MB without any orders (docs/performance.md), so it stays below 150 MB however many there were.
    #[test]
    fn the_kafka_in_memory_is_bounded() {
        let partitions: i32 = TOPICS.iter().map(|(_, partitions)| partitions).sum();
        let max = usize::try_from(partitions).unwrap_or(usize::MAX) * PARTITION_MAX_BYTES;
        assert!(max <= 55 * 1024 * 1024, "{max} bytes");
    }
}
