//! The bound on waiting for an answer of the database. A host that is gone without a word closes no connection, and sqlx asks the
//! operating system for no keepalive: the answer would be waited for without end.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

/// How long an answer is waited for by those who have no limit of their own. Several times as long as a service lets PostgreSQL take
/// for a statement: what is late is lost, and not slow.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What becomes of `work`; an error as of a broken connection if it takes longer than `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    timeout(limit, work).await.unwrap_or_else(no_answer)
}

/// The answer of a database that gives none in time.
pub(super) fn no_answer<T>(_: tokio::time::error::Elapsed) -> sqlx::Result<T> {
    Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))
}

/// Whether it is the error of [`no_answer`].
pub(super) fn is_late(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}
