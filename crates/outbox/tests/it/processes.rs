//! Relays in processes of their own, which are killed: nothing of them is dropped, and nobody is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use embedded::testing::Child;
use messaging::pg_queue::PgQueue;
use messaging::{Destination, Message, PublishError, Publisher, Queue, Status};
use outbox::{Outbox, RelayOptions};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Service, eventually, pool, queue};
use crate::order::noise;

/// The test that a child runs.
const CHILD: &str = "processes::is_a_relay";
/// The header that says which relay sent a message.
const RELAY: &str = "relay";
/// Aggregates, each with a writer of its own.
const KEYS: usize = 12;
/// Between two events of an aggregate: the relays keep up, so that they are killed in passes of all sizes.
const PACE: Duration = Duration::from_millis(20);

/// A queue whose messages say which relay sent them.
struct Signed {
    queue: PgQueue,
    relay: String,
}

#[async_trait]
impl Publisher for Signed {
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        let signed = message.with_header(RELAY, self.relay.clone());
        self.queue.publish(to, signed).await
    }
}

/// The child: never ends by itself.
#[test]
#[ignore = "only run by relays_that_are_killed_as_processes_lose_and_reorder_nothing"]
fn is_a_relay() {
    if let Some(task) = embedded::testing::task() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(relay(&task));
    }
}

async fn relay(task: &Value) {
    let [url, relay] = ["url", "relay"].map(|name| task[name].as_str().unwrap());
    let signed = Signed {
        queue: PgQueue::new(pool(url, 4).await),
        relay: relay.to_owned(),
    };
    let options = RelayOptions {
        batch: 10,
        // Who writes is another process, and wakes nobody here.
        poll: Duration::from_millis(5),
        ..RelayOptions::default()
    };
    let (pool, stop) = (pool(url, 8).await, CancellationToken::new());
    let (outbox, status) = (Outbox::new(), Status::ignore());
    outbox::relay(pool, outbox, Arc::new(signed), options, status, stop).await;
}

fn start_relay(service: &Service, number: usize) -> Child {
    let task = json!({ "url": service.url, "relay": number.to_string() });
    Child::start(CHILD, &task)
}

/// How often one is killed: as often as is promised in `.ci/long`, elsewhere a few times.
fn kills() -> usize {
    if std::env::var_os("AGORA_LONG").is_some() {
        20
    } else {
        4
    }
}

/// What a relay has sent.
async fn sent_by(pool: &PgPool, relay: usize) -> i64 {
    let signature = json!([[RELAY, relay.to_string()]]);
    sqlx::query_scalar("SELECT count(*) FROM mq_message WHERE headers @> $1")
        .bind(signature)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Writes until told to stop; answers with how many events there are of the aggregate.
async fn write(service: Arc<Service>, key: String, more: Arc<AtomicBool>) -> u64 {
    let mut last = 0;
    while more.load(Ordering::SeqCst) {
        last = service.count_to(&[queue()], &key, async {}).await;
        tokio::time::sleep(PACE).await;
    }
    last
}

/// The numbers of each key in the order in which the queue has them, the first time that each came.
async fn arrived(pool: &PgPool) -> HashMap<String, Vec<u64>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT key, (convert_from(payload, 'UTF8')::jsonb ->> 'n')::bigint FROM mq_message ORDER BY id",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut keys: HashMap<String, Vec<u64>> = HashMap::new();
    for (key, n) in rows {
        let (numbers, n) = (keys.entry(key).or_default(), u64::try_from(n).unwrap());
        // Again is allowed, before its turn is not.
        if !numbers.contains(&n) {
            numbers.push(n);
        }
    }
    keys
}

/// Two relays under load. Again and again the older one is killed, at a moment that nobody chose, and followed by another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_are_killed_as_processes_lose_and_reorder_nothing() {
    let service = Arc::new(Service::start().await);
    let jobs = PgQueue::new(service.pool.clone());
    jobs.install().await.unwrap();
    jobs.declare(queue().name()).await.unwrap();
    let more = Arc::new(AtomicBool::new(true));
    let writers: Vec<_> = (0..KEYS)
        .map(|key| {
            let (service, more) = (Arc::clone(&service), Arc::clone(&more));
            tokio::spawn(write(service, format!("key-{key}"), more))
        })
        .collect();
    let mut older = start_relay(&service, 0);
    let mut younger = start_relay(&service, 1);
    for killed in 0..kills() {
        let enough = i64::try_from(1 + noise(killed as u64) % 50).unwrap();
        eventually("the relay to be at work", || async {
            sent_by(&service.pool, killed).await >= enough
        })
        .await;
        older.kill();
        older = std::mem::replace(&mut younger, start_relay(&service, killed + 2));
    }
    more.store(false, Ordering::SeqCst);
    let mut written = HashMap::new();
    for (key, writer) in writers.into_iter().enumerate() {
        let last = writer.await.unwrap();
        written.insert(format!("key-{key}"), (1..=last).collect::<Vec<_>>());
    }
    service.until_empty().await;
    for relay in [older, younger] {
        relay.kill();
    }
    assert_eq!(arrived(&service.pool).await, written);
}
