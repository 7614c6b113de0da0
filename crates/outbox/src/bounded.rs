//! The bound on waiting for an answer of the database.
//!
//! A host that is gone without a word (its power, a cable, a firewall that forgot the connection) closes nothing, and sqlx asks
//! the operating system for no keepalive. A statement that had arrived is then waited for without end, any other one until TCP
//! gives up, after a quarter of an hour or so.

use std::io;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

/// How long an answer is waited for, unless told otherwise. Several times as long as a service lets PostgreSQL take for a
/// statement: what is late is lost, and not slow.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What becomes of `work`; an error as of a broken connection if it takes longer than `limit`. The connection is of no use then.
pub(crate) async fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_late) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()).into()),
    }
}

/// Gives a connection back after `answer`; closes it if that never came. The pool would wait for the answer before it lends the
/// connection again, and keep its place occupied.
pub(crate) fn give_back<T>(
    mut connection: PoolConnection<Postgres>,
    answer: Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    if answer.as_ref().is_err_and(is_late) {
        connection.close_on_drop();
    }
    answer
}

fn is_late(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}
