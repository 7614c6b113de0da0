//! A service in small: aggregates that count, and an event for each count.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use envelope::{Event, EventData};
use messaging::{Destination, Publisher, Status};
use outbox::{Outbox, RelayOptions, Transaction};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::broker::PATIENCE;

/// No test waits for a poll unless it says so: whatever arrives was woken, or retried.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) key: String,
    pub(crate) n: u64,
}

impl EventData for Counted {
    const TYPE: &'static str = "test.counted.v1";
    const SOURCE: &'static str = "/services/test";
    fn subject(&self) -> String {
        self.key.clone()
    }
}

pub(crate) fn topic() -> Destination {
    Destination::Topic("counts".into())
}

pub(crate) fn queue() -> Destination {
    Destination::Queue("jobs".into())
}

pub(crate) struct Service {
    pub(crate) pool: PgPool,
    pub(crate) url: String,
    pub(crate) outbox: Outbox,
    // Keeps the database for as long as the test runs.
    _database: embedded::testing::TestDatabase,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let database = embedded::testing::fresh_database();
        let url = database.url.clone();
        let pool = pool(&url, 16).await;
        outbox::install(&pool).await.unwrap();
        // Other tests have databases in the same cluster: only the locks in this one are ours.
        sqlx::raw_sql(
            "CREATE TABLE counter (key text PRIMARY KEY, n bigint NOT NULL);
             CREATE VIEW lane_locks AS SELECT pid FROM pg_locks WHERE locktype = 'advisory'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .execute(&pool)
        .await
        .unwrap();
        Self {
            pool,
            url,
            outbox: Outbox::new(),
            _database: database,
        }
    }

    /// Counts once and commits: the event's number is the aggregate's.
    pub(crate) async fn count(&self, key: &str) -> u64 {
        self.count_to(&[topic()], key, async {}).await
    }

    /// The same to some destinations, with a pause between the event and the commit.
    pub(crate) async fn count_to(
        &self,
        to: &[Destination],
        key: &str,
        pause: impl Future<Output = ()>,
    ) -> u64 {
        let mut tx = self.outbox.begin(&self.pool).await.unwrap();
        let n = count_in(&mut tx, to, key).await;
        pause.await;
        tx.commit().await.unwrap();
        n
    }

    /// A relay with a database pool of its own, as in another process, but woken like this one.
    pub(crate) async fn relay(
        &self,
        publisher: Arc<dyn Publisher>,
        options: RelayOptions,
    ) -> Relay {
        Relay::start(
            pool(&self.url, 8).await,
            self.outbox.clone(),
            publisher,
            options,
        )
    }

    pub(crate) async fn pending(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub(crate) async fn kept(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub(crate) async fn until_empty(&self) {
        eventually("the outbox to be empty", || async {
            self.pending().await == 0
        })
        .await;
    }
}

/// Counts in a transaction that is still open: takes the aggregate's row lock, then tells the event.
pub(crate) async fn count_in(tx: &mut Transaction, to: &[Destination], key: &str) -> u64 {
    let n: i64 = sqlx::query_scalar(
        "INSERT INTO counter VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET n = counter.n + 1 RETURNING n",
    )
    .bind(key)
    .fetch_one(&mut **tx)
    .await
    .unwrap();
    let n = u64::try_from(n).unwrap();
    for destination in to {
        let event = Event::new(Counted { key: key.into(), n });
        tx.tell(destination, &event).unwrap();
    }
    n
}

pub(crate) async fn pool(url: &str, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        // Longer than a busy machine takes to connect, and shorter than the patience: who gets none fails as such.
        .acquire_timeout(Duration::from_secs(20))
        .connect(url)
        .await
        .unwrap()
}

/// Only wakes, and everything else by default.
pub(crate) fn woken() -> RelayOptions {
    RelayOptions {
        poll: NEVER,
        ..RelayOptions::default()
    }
}

pub(crate) struct Relay {
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    pub(crate) said: Arc<Mutex<Vec<Result<(), String>>>>,
}

impl Relay {
    pub(crate) fn start(
        pool: PgPool,
        outbox: Outbox,
        publisher: Arc<dyn Publisher>,
        options: RelayOptions,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&said);
        let status = Status::new(Arc::new(move |word| log.lock().push(word)));
        let task = tokio::spawn(outbox::relay(
            pool,
            outbox,
            publisher,
            options,
            status,
            shutdown.clone(),
        ));
        Self {
            shutdown,
            task,
            said,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the relay stops")
            .unwrap();
    }

    /// As a crash ends it: nothing is finished.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) fn says(&self) -> Option<Result<(), String>> {
        self.said.lock().last().cloned()
    }

    pub(crate) async fn until_it_says(
        &self,
        what: &str,
        word: impl Fn(&Result<(), String>) -> bool,
    ) {
        eventually(what, || async { self.says().as_ref().is_some_and(&word) }).await;
    }
}

/// Waits until it is so. Looks again every few milliseconds, because nothing announces it.
pub(crate) async fn eventually<F, Fut>(what: &str, mut so: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let wait = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"));
}
