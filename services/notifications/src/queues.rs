//! The queues of this service, and what is bound to them.

use chassis::db;
use contracts::queues::{EMAIL_JOBS, USER_CREATED, USER_CREATED_AUDIT, USER_CREATED_WELCOME};
use messaging::{MessagingError, Queue};

/// Makes what the queue's engine needs, and declares the queues. Safe to repeat.
pub(crate) async fn declare(queue: &dyn Queue) -> Result<(), MessagingError> {
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

/// Whether the queue's engine is away, so that the same may succeed later.
pub(crate) fn is_unavailable(error: &MessagingError) -> bool {
    match error {
        MessagingError::Unavailable(_) => true,
        MessagingError::Database(error) => db::is_unavailable(error),
        // A name or a setting that is wrong stays wrong.
        _ => false,
    }
}
