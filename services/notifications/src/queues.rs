//! The queues of this service, and their bindings.

use chassis::db;
use contracts::queues::{EMAIL_JOBS, USER_CREATED, USER_CREATED_AUDIT, USER_CREATED_WELCOME};
use messaging::{MessagingError, Queue};

/// Installs what the queue's engine needs, and declares the queues. Safe to repeat.
pub(crate) async fn declare(queue: &dyn Queue) -> Result<(), MessagingError> {
    queue.install().await?;
    queue.declare(EMAIL_JOBS).await?;
    // Both are declared before either is bound, so that the time in which a sign-up reaches only one of them is short.
    let subscribers = [USER_CREATED_WELCOME, USER_CREATED_AUDIT];
    for subscriber in subscribers {
        queue.declare(subscriber).await?;
    }
    for subscriber in subscribers {
        queue.bind(USER_CREATED, subscriber).await?;
    }
    Ok(())
}

/// Whether the queue's engine is unavailable, so that the same operation may succeed later.
pub(crate) fn is_unavailable(error: &MessagingError) -> bool {
    match error {
        MessagingError::Unavailable(_) => true,
        MessagingError::Database(error) => db::is_unavailable(error),
        // A wrong name or setting stays wrong.
        _ => false,
    }
}
