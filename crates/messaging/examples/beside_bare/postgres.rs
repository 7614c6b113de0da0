//! The queue in PostgreSQL: pgmq's statements by hand, and ours.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use embedded::postgres::{Cluster, OnExit, Options};
use messaging::pg_queue::PgQueue;
use messaging::{ConsumeOptions, Destination, Message, Publisher as _, Queue as _, Status};
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;
use sqlx::{PgPool, Row as _};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::meter::{Handled, Meter, PUBLISHERS, Side};
use crate::{AnyError, IN_HAND, compare, in_background, unique};

/// Messages that one INSERT stores at most, on both sides.
const GROUP_MAX: usize = 128;
/// How long a message is hidden from other consumers.
const VISIBILITY_SECS: f64 = 30.0;
/// After a read that found something but not all that it might have, what arrives within this time is read together.
const GATHER: Duration = Duration::from_millis(4);
/// How often to look without a wake-up.
const POLL: Duration = Duration::from_millis(500);
/// Connections of each side.
const CONNECTIONS: u32 = 8;
/// How long the cluster may take to stop.
const STOP: Duration = Duration::from_secs(5);

pub(crate) async fn run(pairs: usize) -> Result<(), AnyError> {
    let database = Database::start()?;
    let meter = Meter::new();
    let (bare, working) = Bare::open(database.pool().await?, &meter).await?;

    let queue = PgQueue::new(database.pool().await?);
    queue.install().await?;
    queue.declare("ours").await?;
    let (consumer, stop) = (queue.clone(), CancellationToken::new());
    let (handler, stopped) = (Arc::new(Handled(Arc::clone(&meter))), stop.clone());
    let consuming = in_background(async move {
        let options = ConsumeOptions {
            concurrency: IN_HAND,
            visibility: Duration::from_secs_f64(VISIBILITY_SECS),
            poll: POLL,
            ..ConsumeOptions::default()
        };
        let status = Status::ignore();
        Ok(consumer
            .consume("ours", options, handler, status, stopped)
            .await?)
    });
    let ours = Arc::new(Ours {
        queue,
        to: Destination::Queue("ours".to_owned()),
    });

    compare("PostgreSQL queue", pairs, &meter, &Arc::new(bare), &ours).await?;
    stop.cancel();
    consuming.await?;
    working.iter().for_each(JoinHandle::abort);
    Ok(())
}

/// A private cluster with fsync; it goes away when this is dropped.
struct Database {
    cluster: Option<Cluster>,
    directory: PathBuf,
}

impl Database {
    fn start() -> Result<Self, AnyError> {
        let directory = std::env::temp_dir().join(unique("beside-bare"));
        let options = Options {
            durable: true,
            on_exit: OnExit::Remove,
            ..Options::default()
        };
        let cluster = Cluster::start(embedded::testing::binaries(), &directory, &options)?;
        Ok(Self {
            cluster: Some(cluster),
            directory,
        })
    }

    async fn pool(&self) -> Result<PgPool, AnyError> {
        let cluster = self.cluster.as_ref().ok_or("the cluster has stopped")?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        Ok(pool.connect(&cluster.url("postgres")).await?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop(STOP);
        }
        // What cannot be removed is in the directory for temporary files.
        let _left = std::fs::remove_dir_all(&self.directory);
    }
}

/// A table as pgmq makes one. Bodies are bytes where pgmq has JSON, and vacuum comes as often as to ours: the statements
/// are compared and not these.
const TABLE: &str = "
    CREATE TABLE bare (
        msg_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        read_ct     integer     NOT NULL DEFAULT 0,
        enqueued_at timestamptz NOT NULL DEFAULT now(),
        vt          timestamptz NOT NULL,
        key         text,
        headers     jsonb,
        message     bytea
    );
    CREATE INDEX bare_vt ON bare (vt);
    ALTER TABLE bare SET (
        autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0
    )";
/// `pgmq.send_batch`.
const SEND: &str = "
    INSERT INTO bare (vt, key, headers, message)
    SELECT clock_timestamp(), key, headers, message
      FROM unnest($1::text[], $2::jsonb[], $3::bytea[]) AS sent (key, headers, message)
    RETURNING msg_id";
/// `pgmq.read`.
const READ: &str = "
    WITH due AS (
        SELECT msg_id FROM bare WHERE vt <= clock_timestamp()
         ORDER BY msg_id LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE bare SET vt = clock_timestamp() + make_interval(secs => $2), read_ct = read_ct + 1
      FROM due WHERE bare.msg_id = due.msg_id
    RETURNING bare.msg_id, read_ct, enqueued_at, vt, key, headers, message";
/// `pgmq.delete`.
const DELETE: &str = "DELETE FROM bare WHERE msg_id = ANY($1) RETURNING msg_id";

/// A message, and who waits until it is stored.
type Waiting = (Message, oneshot::Sender<()>);

struct Bare {
    to_store: mpsc::Sender<Waiting>,
}

impl Bare {
    /// With the two loops of it: one stores, one works.
    async fn open(
        pool: PgPool,
        meter: &Arc<Meter>,
    ) -> Result<(Self, [JoinHandle<()>; 2]), AnyError> {
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        let (to_store, waiting) = mpsc::channel(PUBLISHERS);
        let bell = Arc::new(Notify::new());
        let storing = in_background(store(pool.clone(), waiting, Arc::clone(&bell)));
        let working = in_background(work(pool, bell, Arc::clone(meter)));
        Ok((Self { to_store }, [storing, working]))
    }
}

impl Side for Bare {
    async fn send(&self, message: Message) -> Result<(), AnyError> {
        let (stored, is_stored) = oneshot::channel();
        self.to_store.send((message, stored)).await?;
        Ok(is_stored.await?)
    }
}

/// Stores what waits, together, and rings for the consumer.
async fn store(
    pool: PgPool,
    mut waiting: mpsc::Receiver<Waiting>,
    bell: Arc<Notify>,
) -> Result<(), AnyError> {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
        let (messages, callers): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let of = messages.iter();
        sqlx::query(SEND)
            .bind(
                of.clone()
                    .map(|m: &Message| m.key.as_deref())
                    .collect::<Vec<_>>(),
            )
            .bind(of.clone().map(|m| Json(&m.headers)).collect::<Vec<_>>())
            .bind(of.map(|m| &m.payload[..]).collect::<Vec<_>>())
            .fetch_all(&pool)
            .await?;
        bell.notify_one();
        for caller in callers {
            // Who does not wait any more needs no answer.
            let _gone = caller.send(());
        }
    }
    Ok(())
}

/// Reads, handles and deletes, in turn.
async fn work(pool: PgPool, bell: Arc<Notify>, meter: Arc<Meter>) -> Result<(), AnyError> {
    let most = i64::try_from(IN_HAND)?;
    loop {
        let rows = sqlx::query(READ)
            .bind(most)
            .bind(VISIBILITY_SECS)
            .fetch_all(&pool)
            .await?;
        let mut done = Vec::with_capacity(rows.len());
        for row in &rows {
            meter.handled(row.try_get("message")?);
            done.push(row.try_get::<i64, _>("msg_id")?);
        }
        if !done.is_empty() {
            sqlx::query(DELETE).bind(&done).fetch_all(&pool).await?;
        }
        if done.len() < IN_HAND {
            if !done.is_empty() {
                tokio::time::sleep(GATHER).await;
            }
            // A time-out: nobody rang.
            let _rung = tokio::time::timeout(POLL, bell.notified()).await;
        }
    }
}

struct Ours {
    queue: PgQueue,
    to: Destination,
}

impl Side for Ours {
    async fn send(&self, message: Message) -> Result<(), AnyError> {
        Ok(self.queue.publish(&self.to, message).await?)
    }
}
