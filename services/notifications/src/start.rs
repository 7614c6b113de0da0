//! What has to be there before the first message: tables, queues, the binding.

use std::time::Duration;

use backoff::Backoff;
use chassis::health::Dependency;
use chassis::{Fatal, Shutdown, db};
use contracts::queues::{EMAIL_JOBS, USER_CREATED, USER_CREATED_AUDIT, USER_CREATED_WELCOME};
use messaging::{MessagingError, Queue};
use sqlx::PgPool;

/// The pauses between attempts: first and longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Makes the tables of outbox and inbox, and declares the queues, waiting for their engines as long as it
/// takes. Answers whether it got that far before `shutdown`.
pub(crate) async fn prepare(
    pool: &PgPool,
    queue: &dyn Queue,
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
            Err(MessagingError::Unavailable(reason)) => reachable.down(reason),
            Err(error) => return Err(Fatal::from(error).context("preparing the queues")),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

async fn declare(pool: &PgPool, queue: &dyn Queue) -> Result<(), MessagingError> {
    outbox::install(pool).await?;
    queue.install().await?;
    queue.declare(EMAIL_JOBS).await?;
    // Both before either is bound: a sign-up that comes in between should find both.
    let subscribers = [USER_CREATED_WELCOME, USER_CREATED_AUDIT];
    for subscriber in subscribers {
        queue.declare(subscriber).await?;
    }
    for subscriber in subscribers {
        queue.bind(USER_CREATED, subscriber).await?;
    }
    Ok(())
}
