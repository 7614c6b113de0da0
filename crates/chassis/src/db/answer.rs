//! The bound on waiting for an answer of the database, for tasks that have no caller with a deadline.
//!
//! A host that is gone without a word closes no connection, and sqlx asks the operating system for no keepalive: a task would
//! wait for its answer without end, long after the database is back for everybody else.

use std::io;
use std::time::Duration;

/// How long a task waits for an answer. Three times the longest time of a statement
/// ([`STATEMENT_TIMEOUT`](super::STATEMENT_TIMEOUT)): what is late then is lost, and not slow.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The result of `work`; after `limit` the error of a broken connection, which counts as an outage
/// ([`is_unavailable`](super::is_unavailable)). The pool closes the connection, as that of each statement that is abandoned.
///
/// # Errors
/// Those of `work`, or [`sqlx::Error::Io`] if it takes too long.
pub async fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_late) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::db::is_unavailable;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_an_outage() {
        let never = within(ANSWER_TIMEOUT, pending::<sqlx::Result<()>>()).await;
        assert!(is_unavailable(&never.unwrap_err()));
        let done = within(ANSWER_TIMEOUT, ready(Ok::<_, sqlx::Error>(1))).await;
        assert_eq!(done.unwrap(), 1);
    }
}
