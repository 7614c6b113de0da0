//! What has to be there before the first message: tables, queues, the binding.

use std::time::Duration;

use chassis::health::Dependency;
use chassis::{Fatal, Shutdown, db};
use contracts::queues::{EMAIL_JOBS, USER_CREATED, USER_CREATED_WELCOME};
use messaging::pg_queue::PgQueue;
use messaging::{MessagingError, Queue as _};
use resilience::backoff::Backoff;
use sqlx::PgPool;

/// The pauses between attempts: first and longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Makes the tables of outbox and inbox, and declares the queues, waiting for their databases as long as it
/// takes. Answers whether it got that far before `shutdown`.
pub(crate) async fn prepare(
    pool: &PgPool,
    queue: &PgQueue,
    reachable: &Dependency,
    shutdown: &Shutdown,
) -> Result<bool, Fatal> {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        let attempt = tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            attempt = declare(pool, queue) => attempt,
        };
        match attempt {
            Ok(()) => {
                reachable.up();
                return Ok(true);
            }
            Err(MessagingError::Database(error)) if db::is_unavailable(&error) => {
                reachable.down(error.to_string())
            }
            Err(error) => return Err(Fatal::from(error).context("preparing the queues")),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

async fn declare(pool: &PgPool, queue: &PgQueue) -> Result<(), MessagingError> {
    outbox::install(pool).await?;
    queue.install().await?;
    queue.declare(EMAIL_JOBS).await?;
    queue.declare(USER_CREATED_WELCOME).await?;
    queue.bind(USER_CREATED, USER_CREATED_WELCOME).await
}
