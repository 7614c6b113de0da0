//! A backlog of events as an order's are, and a broker that answers at once and checks their order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use messaging::{Destination, Message, PublishError, Publisher};
use parking_lot::Mutex;
use sqlx::PgPool;

/// A topic for a broker that has none.
pub(crate) const TOPIC: &str = "order-events";
/// Events of each aggregate: four for each order of a saga.
pub(crate) const EVENTS_PER_KEY: u64 = 4;

/// The broker.
#[derive(Default)]
pub(crate) struct Instantly {
    last: Mutex<HashMap<String, u64>>,
    /// Events that came for the first time.
    pub(crate) count: AtomicU64,
    /// Events that came again, as those do that a relay had sent when it died.
    pub(crate) again: AtomicU64,
}

#[async_trait]
impl Publisher for Instantly {
    async fn publish(&self, _to: &Destination, message: Message) -> Result<(), PublishError> {
        assert!(self.note(&message), "an event is missing before this one");
        Ok(())
    }
}

impl Instantly {
    /// Notes an event; false if one of the same key is missing before it.
    pub(crate) fn note(&self, message: &Message) -> bool {
        let n = message
            .header("ce_sequence")
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        let key = message.key.clone().unwrap_or_default();
        let mut all = self.last.lock();
        let last = all.entry(key).or_default();
        if n <= *last {
            self.again.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        if n > *last + 1 {
            return false;
        }
        *last = n;
        self.count.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// Writes that many events for the topic into the outbox.
pub(crate) async fn fill(pool: &PgPool, topic: &str, events: u64) -> Result<(), sqlx::Error> {
    // About as large as an order's event: ten headers and 300 bytes. Headers are a list, which takes a relay longer to read than the
    // short form. Lanes need only be the same for one key.
    sqlx::query(
        r#"INSERT INTO outbox (lane, destination, key, headers, payload)
           SELECT (n % $2) % 16, 'topic:' || $3, 'order-' || n % $2,
               jsonb_build_array(
                   jsonb_build_array('ce_specversion', '1.0'), jsonb_build_array('ce_id', gen_random_uuid()::text),
                   jsonb_build_array('ce_source', '/services/orders'),
                   jsonb_build_array('ce_type', 'example.order.placed.v1'), jsonb_build_array('ce_time', now()::text),
                   jsonb_build_array('ce_subject', gen_random_uuid()::text),
                   jsonb_build_array('ce_sequence', (n / $2 + 1)::text),
                   jsonb_build_array('ce_correlationid', gen_random_uuid()::text),
                   jsonb_build_array('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
                   jsonb_build_array('content-type', 'application/json')),
               convert_to(repeat('x', 300), 'UTF8')
           FROM generate_series(0, $1 - 1) AS n"#,
    )
    .bind(i64::try_from(events).unwrap_or(i64::MAX))
    .bind(i64::try_from(events / EVENTS_PER_KEY).unwrap_or(i64::MAX))
    .bind(topic)
    .execute(pool)
    .await?;
    Ok(())
}
