//! A queue in a private PostgreSQL, and consumers of it.

use std::sync::Arc;
use std::time::Duration;

use messaging::pg_queue::{ConsumeOptions, PgQueue};
use messaging::{Destination, Handler, Message, Publisher, Queue, Status};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::Running;

/// A queue in a database of its own.
pub(crate) struct Pg {
    pub(crate) queue: PgQueue,
    pub(crate) pool: PgPool,
}

impl Pg {
    pub(crate) async fn start() -> Self {
        let database = embedded::testing::fresh_database();
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .connect(&database.url)
            .await
            .unwrap();
        let queue = PgQueue::new(pool.clone());
        queue.install().await.unwrap();
        Self { queue, pool }
    }

    /// As another process sees it: the same tables, and no bell in common.
    pub(crate) fn elsewhere(&self) -> PgQueue {
        PgQueue::new(self.pool.clone())
    }

    pub(crate) async fn send(&self, queue: &str, text: &str) {
        self.queue
            .publish(
                &Destination::Queue(queue.into()),
                Message::new(text.to_owned()),
            )
            .await
            .unwrap();
    }

    pub(crate) async fn count(&self, queue: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM mq_message WHERE queue = $1")
            .bind(queue)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

pub(crate) fn options() -> ConsumeOptions {
    ConsumeOptions {
        backoff: Duration::from_millis(4),
        backoff_cap: Duration::from_millis(20),
        poll: Duration::from_millis(20),
        ..ConsumeOptions::default()
    }
}

pub(crate) fn consume(
    queue: &PgQueue,
    name: &str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
) -> Running {
    consume_watched(queue, name, options, handler, Status::ignore())
}

pub(crate) fn consume_watched(
    queue: &PgQueue,
    name: &str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    status: Status,
) -> Running {
    let (queue, name) = (queue.clone(), name.to_owned());
    Running::spawn(move |shutdown| async move {
        queue
            .consume(&name, options, handler, status, shutdown)
            .await
    })
}
