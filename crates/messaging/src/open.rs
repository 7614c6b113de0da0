//! The choice of the queue's engine, in one place.

use std::sync::Arc;

use sqlx::PgPool;

use crate::amqp::AmqpQueue;
use crate::pg_queue::PgQueue;
use crate::{MessagingError, Queue};

/// RabbitMQ when there is a URL of one, else the PostgreSQL queue in the pool that `database` opens.
///
/// Readers and writers of the queue use only the trait [`Queue`], whatever the engine.
/// `service` names the connections on the broker's own pages.
///
/// # Errors
/// A URL that cannot be used, or the error of `database`. Reaches neither engine yet.
pub fn open_queue<E: From<MessagingError>>(
    amqp_url: Option<&str>,
    service: &str,
    database: impl FnOnce() -> Result<PgPool, E>,
) -> Result<Arc<dyn Queue>, E> {
    Ok(match amqp_url {
        Some(url) => Arc::new(AmqpQueue::new(url, service)?),
        None => Arc::new(PgQueue::new(database()?)),
    })
}
